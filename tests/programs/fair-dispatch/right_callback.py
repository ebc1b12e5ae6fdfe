"""Prefetch 1: the broker sends the next message when this one is acknowledged."""

import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)


def on_message(ch, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * delay)
    print(f"done {text}", flush=True)
    ch.basic_ack(method.delivery_tag)


channel.basic_consume(queue, on_message)
channel.start_consuming()
