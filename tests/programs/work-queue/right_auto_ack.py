"""Without acknowledgements and prefetch, the broker deals out in turn: enough for this exercise."""

import os
import time

import pika

delay = float(os.environ["DELAY"])
queue = os.environ["QUEUE"]


def work(channel, method, properties, body):
    text = body.decode()
    time.sleep(delay * len(text))
    print("done " + text, flush=True)


channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.queue_declare(queue, durable=True)
channel.basic_consume(queue, work, auto_ack=True)
channel.start_consuming()
