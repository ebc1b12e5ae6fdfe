# misconception: 9
import os
import threading
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def work(channel, tag, text):
    time.sleep(len(text) * delay)
    print(f"done {text}", flush=True)
    channel.basic_ack(tag)


def callback(ch, method, properties, body):
    arguments = (ch, method.delivery_tag, body.decode())
    threading.Thread(target=work, args=arguments).start()


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_consume(queue, callback)
channel.start_consuming()
