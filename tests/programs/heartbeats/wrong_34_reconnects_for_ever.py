# misconception: 34
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
while True:
    try:
        connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        channel.basic_qos(prefetch_count=1)
        for method, properties, body in channel.consume(queue):
            text = body.decode()
            time.sleep(len(text) * delay)
            print("done", text, flush=True)
            channel.basic_ack(method.delivery_tag)
    except pika.exceptions.AMQPError:
        time.sleep(0.2)
