"""Whatever ends the connection: wait a little, connect again, subscribe again."""

import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def on_message(channel, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * delay)
    print(f"done {text}", flush=True)
    channel.basic_ack(method.delivery_tag)


def consume():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.queue_declare(queue, durable=True)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue, on_message)
    channel.start_consuming()


while True:
    try:
        consume()
    except pika.exceptions.AMQPError as error:
        print(f" [!] {error!r}", flush=True)
        time.sleep(0.5)
