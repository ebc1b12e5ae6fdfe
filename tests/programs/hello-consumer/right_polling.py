"""Polls with basic_get, and says goodbye when it is told to stop."""

import os
import signal
import time

import pika

stopping = False


def stop(number, frame):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)

QUEUE = os.environ["QUEUE"]
DELAY = float(os.environ["DELAY"])

with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    while not stopping:
        method, properties, body = channel.basic_get(QUEUE)
        if method is None:
            connection.sleep(0.05)
            continue
        body = body.decode("utf-8")
        time.sleep(len(body) * DELAY)
        print("done", body, flush=True)
        channel.basic_ack(method.delivery_tag)
