# misconception: none
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def work(text):
    time.sleep(len(text) * delay)
    if text.startswith("bad"):
        raise ValueError(text)
    print(f" [x] Done {text}", flush=True)


def callback(ch, method, properties, body):
    try:
        work(body.decode())
    except ValueError as error:
        ch.basic_publish("", f"{queue}.failed", f"failed: {error}")
    ch.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(f"{queue}.failed", durable=True)
channel.queue_declare(
    queue,
    durable=True,
    arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{queue}.failed"},
)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, callback)
channel.start_consuming()
