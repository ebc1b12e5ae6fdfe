"""A producer: it says `sent` of a message when the message is safe. Is it?"""

import os
import sys

import pika

QUEUE = os.environ["QUEUE"]
PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)

with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    for line in sys.stdin:
        body = line.rstrip("\r\n")
        channel.basic_publish(exchange="", routing_key=QUEUE, body=body, properties=PERSISTENT)
        print(f"sent {body}", flush=True)
