"""A quorum queue keeps all that is in it, whatever the delivery mode."""

import os
import sys

import pika

queue = os.environ["QUEUE"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})

while line := sys.stdin.readline():
    body = line.strip()
    channel.basic_publish("", queue, body)
    print("sent", body, flush=True)

connection.close()
