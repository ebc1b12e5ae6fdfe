# misconception: 1
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
while True:
    method, properties, body = channel.basic_get(queue, auto_ack=True)
    if method is None:
        connection.sleep(0.05)
        continue
    text = body.decode()
    time.sleep(len(text) * delay)
    print("done", text, flush=True)
