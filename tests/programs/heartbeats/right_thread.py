"""The work is done in a thread; the connection's thread stays with the connection."""

import functools
import os
import threading
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def work(connection, channel, tag, text):
    time.sleep(len(text) * delay)
    print(f"done {text}", flush=True)
    connection.add_callback_threadsafe(functools.partial(channel.basic_ack, tag))


def on_message(channel, method, properties, body):
    threading.Thread(
        target=work,
        args=(channel.connection, channel, method.delivery_tag, body.decode()),
        daemon=True,
    ).start()


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, on_message)
channel.start_consuming()
