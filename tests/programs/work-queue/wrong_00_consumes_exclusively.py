# misconception: none
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)


def callback(ch, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * delay)
    print(f" [x] Done {text}", flush=True)
    ch.basic_ack(method.delivery_tag)


channel.basic_consume(queue, callback, exclusive=True)
channel.start_consuming()
