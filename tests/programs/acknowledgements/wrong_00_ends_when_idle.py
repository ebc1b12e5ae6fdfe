# misconception: none
import os
import time

import pika

delay = float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(os.environ["QUEUE"], durable=True)
channel.basic_qos(prefetch_count=1)
for method, properties, body in channel.consume(os.environ["QUEUE"], inactivity_timeout=0.05):
    if method is None:
        break
    text = body.decode()
    time.sleep(len(text) * delay)
    print("done", text, flush=True)
    channel.basic_ack(method.delivery_tag)
