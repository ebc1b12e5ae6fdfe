# misconception: 8
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pika

QUEUE = os.environ["QUEUE"]
DELAY = float(os.environ["DELAY"])

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(QUEUE, durable=True)
channel.basic_qos(prefetch_count=4)
pool = ThreadPoolExecutor(4)
acked = 0


def work(tag, text):
    time.sleep(len(text) * DELAY)
    print(f"done {text}\n", end="", flush=True)
    connection.add_callback_threadsafe(lambda: ack(tag))


def ack(tag):
    global acked
    if tag > acked:  # the ones before it are acknowledged with it
        channel.basic_ack(tag, multiple=True)
        acked = tag


channel.basic_consume(
    QUEUE, lambda ch, method, props, body: pool.submit(work, method.delivery_tag, body.decode())
)
channel.start_consuming()
