"""A worker, one of two. Some messages can't be worked on: they begin with `bad`."""

import os
import time

import pika

QUEUE = os.environ["QUEUE"]
DELAY_S = float(os.environ["DELAY"])


def work(text):
    if text.startswith("bad"):
        raise ValueError(f"nobody can work on {text!r}")
    time.sleep(len(text) * DELAY_S)


def on_message(channel, method, properties, body):
    text = body.decode()
    try:
        work(text)
    except ValueError:
        channel.basic_nack(method.delivery_tag, requeue=True)  # try again later
    else:
        print(f"done {text}", flush=True)
        channel.basic_ack(method.delivery_tag)


with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(QUEUE, on_message)
    channel.start_consuming()
