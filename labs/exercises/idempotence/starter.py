"""A worker, one of two. A message may come twice: it remembers what it has done."""

import os
import time

import pika

QUEUE = os.environ["QUEUE"]
DELAY_S = float(os.environ["DELAY"])

seen = set()


def on_message(channel, method, properties, body):
    if properties.message_id not in seen:
        text = body.decode()
        time.sleep(len(text) * DELAY_S)  # the work
        print(f"done {text}", flush=True)
        seen.add(properties.message_id)
    channel.basic_ack(method.delivery_tag)


with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(QUEUE, on_message)
    channel.start_consuming()
