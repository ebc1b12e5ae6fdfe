# misconception: 7
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def work(channel, tag, text):
    time.sleep(len(text) * delay)
    print(f" [x] Done {text}", flush=True)
    channel.basic_ack(tag)


def callback(ch, method, properties, body):
    work(ch, method.delivery_tag, body.decode())
    ch.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue=queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue=queue, on_message_callback=callback)
channel.start_consuming()
