"""A quorum queue counts the attempts; after the limit it dead-letters the message."""

import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue + ".failed", durable=True, arguments={"x-queue-type": "quorum"})
channel.queue_declare(
    queue,
    durable=True,
    arguments={
        "x-queue-type": "quorum",
        "x-delivery-limit": 2,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue + ".failed",
    },
)
channel.basic_qos(prefetch_count=1)


def on_message(ch, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * delay)
    if text.startswith("bad"):
        ch.basic_reject(method.delivery_tag, requeue=True)
        return
    print(f"done {text}", flush=True)
    ch.basic_ack(method.delivery_tag)


channel.basic_consume(queue, on_message)
channel.start_consuming()
