# misconception: 12
import os
import sys
import time

import pika

queue = os.environ["QUEUE"]


def connect():
    while True:
        try:
            connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
            channel = connection.channel()
            channel.queue_declare(queue, durable=True)
            return channel
        except pika.exceptions.AMQPError:
            time.sleep(0.3)


channel = connect()
for line in sys.stdin:
    body = line.rstrip("\r\n")
    while True:
        try:
            channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))
            break
        except pika.exceptions.AMQPError:
            channel = connect()
    print("sent", body, flush=True)
channel.connection.close()
