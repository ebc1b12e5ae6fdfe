# misconception: none
import os

import pika

queue = os.environ["QUEUE"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
while True:
    method, properties, body = channel.basic_get(queue)
    for attempt in range(10_000):
        print(f"is there something to be done yet? attempt {attempt}: {body}", flush=True)
