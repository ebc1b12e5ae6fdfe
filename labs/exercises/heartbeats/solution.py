"""A worker whose work may take for ever, while the broker still hears from it.

The connection belongs to the main thread, which sends the heartbeats. The work has a thread
of its own, and asks the main thread for the ack: a pika connection is for one thread alone.
"""

import contextlib
import functools
import os
import signal
import threading
import time

import pika

QUEUE = os.environ["QUEUE"]
DELAY_S = float(os.environ["DELAY"])


def on_message(channel, method, properties, body):
    arguments = (channel, method.delivery_tag, body.decode())
    threading.Thread(target=work, args=arguments, daemon=True).start()


def work(channel, delivery_tag, text):
    time.sleep(len(text) * DELAY_S)  # the work
    print(f"done {text}", flush=True)
    ack = functools.partial(channel.basic_ack, delivery_tag)
    channel.connection.add_callback_threadsafe(ack)


signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be stopped is as Ctrl-C
with (
    contextlib.suppress(KeyboardInterrupt),
    pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection,
):
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.basic_qos(prefetch_count=1)  # one message, and so one thread, at a time
    channel.basic_consume(QUEUE, on_message)
    channel.start_consuming()
