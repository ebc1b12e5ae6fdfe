# misconception: none
import os
import time

import pika

delay = float(os.environ["DELAY"])
queue = os.environ["QUEUE"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)

while True:
    method, properties, body = channel.basic_get(queue)
    if method is None:
        break
    text = body.decode()
    time.sleep(len(text) * delay)
    print("done", text, flush=True)
    channel.basic_ack(method.delivery_tag)
connection.close()
