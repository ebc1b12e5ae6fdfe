"""Consumes in a for loop, which wakes up now and then to see whether it should stop."""

import os
import signal
import sys
import time

import pika


def leave(number, frame):
    sys.exit(0)


signal.signal(signal.SIGTERM, leave)
queue, delay = os.environ["QUEUE"], float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})

for method, properties, body in channel.consume(queue, inactivity_timeout=0.5):
    if method is None:
        continue
    text = body.decode()
    time.sleep(len(text) * delay)
    sys.stdout.write(f"Done {text}\r\n")
    sys.stdout.flush()
    channel.basic_ack(method.delivery_tag)
