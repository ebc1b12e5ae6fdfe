"""Prefetch 1, and the work in a thread of its own, fed through a queue."""

import os
import queue
import threading
import time

import pika

inbox = queue.Queue()
name = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(name, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(name, lambda ch, method, props, body: inbox.put((method, body)))


def work():
    while True:
        method, body = inbox.get()
        text = body.decode()
        time.sleep(len(text) * delay)
        print(f"done {text}", flush=True)
        connection.add_callback_threadsafe(lambda tag=method.delivery_tag: channel.basic_ack(tag))


threading.Thread(target=work, daemon=True).start()
channel.start_consuming()
