# misconception: none
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
            channel.confirm_delivery()
            return channel
        except pika.exceptions.AMQPError:
            time.sleep(0.3)


channel = connect()
for line in sys.stdin:
    body = line.rstrip("\r\n")
    print("sent", body, flush=True)
    while True:
        try:
            channel.basic_publish("", queue, body, mandatory=True)
            break
        except pika.exceptions.NackError:
            time.sleep(0.1)
        except pika.exceptions.AMQPError:
            channel = connect()
channel.connection.close()
