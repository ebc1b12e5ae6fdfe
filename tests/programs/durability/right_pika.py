"""A durable queue and persistent messages."""

import os
import sys

import pika

queue = os.environ["QUEUE"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)

for line in sys.stdin:
    body = line.rstrip("\r\n")
    channel.basic_publish("", queue, body.encode(), persistent)
    print(f"sent {body}", flush=True)

connection.close()
