# misconception: 1
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def callback(ch, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * delay)
    print(f" [x] Done {text}", flush=True)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_consume(queue, callback, auto_ack=True)
channel.start_consuming()
