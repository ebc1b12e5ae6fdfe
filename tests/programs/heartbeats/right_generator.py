"""A pool works while this thread serves the connection; acknowledges when the future is done."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pika

delay = float(os.environ["DELAY"])
queue = os.environ["QUEUE"]
parameters = pika.URLParameters(os.environ["AMQP_URL"])
parameters.heartbeat = 5

with pika.BlockingConnection(parameters) as connection, ThreadPoolExecutor(1) as pool:
    channel = connection.channel()
    channel.queue_declare(queue, durable=True)
    channel.basic_qos(prefetch_count=1)
    for method, properties, body in channel.consume(queue, inactivity_timeout=0.5):
        if method is None:
            continue
        text = body.decode()
        job = pool.submit(time.sleep, len(text) * delay)
        while not job.done():
            connection.process_data_events(time_limit=0.05)
        print("done", text, flush=True)
        channel.basic_ack(method.delivery_tag)
