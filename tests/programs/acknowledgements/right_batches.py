"""Works on up to three messages, then acknowledges them with one frame: all of them are done."""

import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=3)

done = 0
last = None
for method, properties, body in channel.consume(queue, inactivity_timeout=0.1):
    if method:
        text = body.decode()
        time.sleep(len(text) * delay)
        print("done", text, flush=True)
        last, done = method.delivery_tag, done + 1
    if last and (done == 3 or method is None):
        channel.basic_ack(last, multiple=True)
        done, last = 0, None
