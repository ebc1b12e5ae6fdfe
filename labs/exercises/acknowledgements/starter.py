"""A worker, one of two. Does it lose a message when somebody pulls its plug?"""

import os
import time

import pika

QUEUE = os.environ["QUEUE"]
DELAY_S = float(os.environ["DELAY"])


def on_message(channel, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * DELAY_S)  # the work
    print(f"done {text}", flush=True)


with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.basic_consume(QUEUE, on_message, auto_ack=True)
    channel.start_consuming()
