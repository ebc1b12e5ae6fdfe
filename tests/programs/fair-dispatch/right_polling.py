"""Whoever is free fetches the next message itself."""

import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)

while True:
    method, properties, body = channel.basic_get(queue)
    if method is None:
        connection.sleep(0.1)
        continue
    text = body.decode()
    time.sleep(len(text) * delay)
    print(f"done {text}", flush=True)
    channel.basic_ack(method.delivery_tag)
