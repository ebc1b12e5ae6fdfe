"""A producer: it puts every line of its standard input into the queue."""

import os
import sys

import pika

with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.queue_declare(os.environ["QUEUE"], durable=True)
    for line in sys.stdin:
        body = line.rstrip("\r\n")
        channel.basic_publish(exchange="", routing_key="hello", body=body)
        print(f"sent {body}", flush=True)
