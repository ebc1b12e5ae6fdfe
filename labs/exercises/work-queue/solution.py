"""A worker, one of several on the same queue: each message goes to one of them.

Nothing in it knows of the others. The broker deals the messages out; one ack settles each.
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
    channel.basic_qos(prefetch_count=1)  # one at a time: the rest waits where all can have it
    channel.basic_consume(QUEUE, on_message)
    channel.start_consuming()
