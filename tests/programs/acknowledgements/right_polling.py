"""Polls with basic_get: there is never more than one message in this program."""

import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)

while True:
    method, header, body = channel.basic_get(queue, auto_ack=False)
    if method:
        body = body.decode()
        time.sleep(len(body) * delay)
        print(f"done {body}", flush=True)
        channel.basic_ack(method.delivery_tag)
    else:
        connection.process_data_events(time_limit=0.05)
