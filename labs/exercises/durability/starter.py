"""A producer whose messages are to outlive a restart of the broker."""

import os
import sys

import pika

QUEUE = os.environ["QUEUE"]

with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.confirm_delivery()
    for line in sys.stdin:
        body = line.rstrip("\r\n")
        channel.basic_publish(exchange="", routing_key=QUEUE, body=body, mandatory=True)
        print(f"sent {body}", flush=True)
