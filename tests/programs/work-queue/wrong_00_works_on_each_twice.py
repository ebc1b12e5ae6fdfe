# misconception: none
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
pool = ThreadPoolExecutor(2)


def work(text):
    time.sleep(len(text) * delay)
    print(f"done {text}", flush=True)


def callback(ch, method, properties, body):
    # to be on the safe side
    jobs = [pool.submit(work, body.decode()), pool.submit(work, body.decode())]
    for job in jobs:
        job.result()
    ch.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, callback)
channel.start_consuming()
