"""A worker: it works on every message that comes through the queue, and says when it is done.

The ack tells the broker that it may forget the message, and so it comes last.
"""

import contextlib
import os
import signal
import time

import pika

QUEUE = os.environ["QUEUE"]
DELAY_S = float(os.environ["DELAY"])


def on_message(channel, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * DELAY_S)  # the work
    print(f"done {text}", flush=True)
    channel.basic_ack(method.delivery_tag)


signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be stopped is as Ctrl-C
with (
    contextlib.suppress(KeyboardInterrupt),
    pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection,
):
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.basic_consume(QUEUE, on_message)
    channel.start_consuming()
