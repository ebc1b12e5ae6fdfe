# misconception: 23
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def callback(ch, method, properties, body):
    if method.redelivered:
        print("seen before", flush=True)
    else:
        text = body.decode()
        time.sleep(len(text) * delay)
        print(f" [x] Done {text}", flush=True)
    ch.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, callback)
channel.start_consuming()
