"""Polls; a dead letter exchange with a queue bound to it, as the documentation shows it."""

import os
import time

import pika

queue, delay = os.environ["QUEUE"], float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()

channel.exchange_declare(f"{queue}.dlx", exchange_type="fanout", durable=True)
channel.queue_declare(f"{queue}.failed", durable=True)
channel.queue_bind(f"{queue}.failed", f"{queue}.dlx")
channel.queue_declare(queue, durable=True, arguments={"x-dead-letter-exchange": f"{queue}.dlx"})

while True:
    method, properties, body = channel.basic_get(queue)
    if not method:
        connection.sleep(0.05)
        continue
    text = body.decode("utf-8")
    if text.startswith("bad"):
        channel.basic_reject(method.delivery_tag, requeue=False)
        continue
    time.sleep(len(text) * delay)
    print("done", text, flush=True)
    channel.basic_ack(method.delivery_tag)
