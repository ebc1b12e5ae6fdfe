"""A pool of two threads works; the connection's own thread acknowledges."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=2)
pool = ThreadPoolExecutor(2)


def work(tag, text):
    time.sleep(len(text) * delay)
    print(f"done {text}\n", end="", flush=True)
    connection.add_callback_threadsafe(partial(channel.basic_ack, tag))


def on_message(ch, method, properties, body):
    pool.submit(work, method.delivery_tag, body.decode())


channel.basic_consume(queue, on_message)
channel.start_consuming()
