"""Counts the attempts in a header: two more at the end of the queue, then the queue of failures."""

import os
import time

import pika

QUEUE = os.environ["QUEUE"]
FAILED = QUEUE + ".failed"
DELAY = float(os.environ["DELAY"])
ATTEMPTS = 3


def process(text):
    if text.startswith("bad"):
        raise ValueError(f"cannot work on {text}")
    time.sleep(len(text) * DELAY)


def put_aside(channel, properties, body):
    headers = dict(properties.headers or {})
    headers["attempts"] = headers.get("attempts", 1) + 1
    target = QUEUE if headers["attempts"] <= ATTEMPTS else FAILED
    properties.headers = headers
    channel.basic_publish("", target, body, properties, mandatory=True)


def on_message(channel, method, properties, body):
    text = body.decode()
    try:
        process(text)
        print("done", text, flush=True)
    except ValueError:
        put_aside(channel, properties, body)
    channel.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare(QUEUE, durable=True)
channel.queue_declare(FAILED, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(QUEUE, on_message)
channel.start_consuming()
