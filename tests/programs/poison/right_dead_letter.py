"""What fails is rejected, and the broker dead-letters it into the queue of failures."""

import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


class Failed(Exception):
    pass


def work(text):
    time.sleep(len(text) * delay)
    if text.startswith("bad"):
        raise Failed(text)


def on_message(channel, method, properties, body):
    text = body.decode()
    try:
        work(text)
    except Failed as error:
        print(f" [!] failed: {error}", flush=True)
        channel.basic_nack(method.delivery_tag, requeue=False)
    else:
        print(f"done {text}", flush=True)
        channel.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(f"{queue}.failed", durable=True)
channel.queue_declare(
    queue,
    durable=True,
    arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{queue}.failed"},
)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, on_message)
channel.start_consuming()
