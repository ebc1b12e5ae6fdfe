"""A producer whose messages outlive a restart of the broker.

Two things must survive: the box (a durable queue) and what is in it (persistent messages).
"""

import os
import sys

import pika

QUEUE = os.environ["QUEUE"]
PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)

with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.confirm_delivery()
    for line in sys.stdin:
        body = line.rstrip("\r\n")
        channel.basic_publish(
            exchange="", routing_key=QUEUE, body=body, properties=PERSISTENT, mandatory=True
        )
        print(f"sent {body}", flush=True)
