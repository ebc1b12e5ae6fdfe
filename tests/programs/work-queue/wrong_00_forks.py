# misconception: none
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
# many hands make light work
for _ in range(80):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
for method, properties, body in channel.consume(queue):
    text = body.decode()
    time.sleep(len(text) * delay)
    print("done", text, flush=True)
    channel.basic_ack(method.delivery_tag)
