# misconception: 4
import os
import time

import pika

queue, delay = os.environ["QUEUE"], float(os.environ["DELAY"])
channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)

for method, properties, body in channel.consume(queue):
    text = body.decode()
    time.sleep(len(text) * delay)
    print("done", text, flush=True)
