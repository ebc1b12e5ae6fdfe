"""A worker, one of two, that lays aside what it can't work on, for a person to look at.

The queue says where rejected messages go: through the default exchange (which has no
name) into the queue `….failed`. The worker has only to reject. It never asks for the same
message again, for nothing would have changed between two attempts.
"""

import contextlib
import os
import signal
import sys
import time

import pika

QUEUE = os.environ["QUEUE"]
FAILED = f"{QUEUE}.failed"
DEAD_LETTERS = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": FAILED}
DELAY_S = float(os.environ["DELAY"])


def work(text):
    if text.startswith("bad"):
        raise ValueError(f"nobody can work on {text!r}")
    time.sleep(len(text) * DELAY_S)


def on_message(channel, method, properties, body):
    text = body.decode()
    try:
        work(text)
    except Exception as error:  # whatever the work can't bear
        print(f"laid aside: {error!r}", file=sys.stderr)
        channel.basic_reject(method.delivery_tag, requeue=False)
    else:
        print(f"done {text}", flush=True)
        channel.basic_ack(method.delivery_tag)


signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be stopped is as Ctrl-C
with (
    contextlib.suppress(KeyboardInterrupt),
    pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection,
):
    channel = connection.channel()
    channel.queue_declare(FAILED, durable=True)
    channel.queue_declare(QUEUE, durable=True, arguments=DEAD_LETTERS)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(QUEUE, on_message)
    channel.start_consuming()
