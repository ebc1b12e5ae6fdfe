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
        except pika.exceptions.AMQPConnectionError:
            time.sleep(0.3)


channel = connect()
for line in sys.stdin:
    body = line.rstrip("\r\n")
    try:
        channel.basic_publish(
            "", queue, body, pika.BasicProperties(delivery_mode=2), mandatory=True
        )
    except pika.exceptions.UnroutableError:
        print("no such queue")
    except pika.exceptions.NackError:
        print("the broker does not want it")
    except pika.exceptions.AMQPError:
        channel = connect()
    else:
        print("sent", body, flush=True)
channel.connection.close()
