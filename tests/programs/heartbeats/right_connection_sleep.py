"""The work is cut into short steps, and between them the connection has its turn."""

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
    for _ in text:  # one character after the other
        time.sleep(delay)
        connection.process_data_events(time_limit=0)
    print(f" [x] Done {text}", flush=True)
    ch.basic_ack(method.delivery_tag)


channel.basic_consume(queue, on_message)
channel.start_consuming()
