"""A worker that comes back after every loss: of the connection, the broker, the queue.

All that it has on the broker (connection, channel, queue, limit, subscription) is made in one
place, and a loop around it makes it again. What was not acknowledged comes back by itself.
"""

import contextlib
import os
import random
import signal
import sys
import time

import pika
from pika.exceptions import AMQPError

QUEUE = os.environ["QUEUE"]
DELAY_S = float(os.environ["DELAY"])


def on_message(channel, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * DELAY_S)  # the work
    print(f"done {text}", flush=True)
    channel.basic_ack(method.delivery_tag)


def consume():
    """Work until the connection is lost, which is an AMQPError, or the queue is deleted."""
    with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True)
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(QUEUE, on_message)
        channel.start_consuming()


signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be stopped is as Ctrl-C
with contextlib.suppress(KeyboardInterrupt):
    while True:
        try:
            consume()
        except AMQPError as lost:
            print(f"lost, once more: {lost!r}", file=sys.stderr)
        time.sleep(random.uniform(0.1, 0.5))  # a hundred workers don't come back at once
