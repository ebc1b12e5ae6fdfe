# misconception: 7
import os
import threading
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
connection = None
channel = None


def acknowledge(tag):
    channel.basic_ack(tag)


def work(tag, text):
    time.sleep(len(text) * delay)
    print(f"done {text}", flush=True)
    while True:  # until there is a connection again
        try:
            connection.add_callback_threadsafe(lambda: acknowledge(tag))
            return
        except pika.exceptions.AMQPError:
            time.sleep(0.1)


def callback(ch, method, properties, body):
    arguments = (method.delivery_tag, body.decode())
    threading.Thread(target=work, args=arguments, daemon=True).start()


while True:
    try:
        connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        channel.basic_qos(prefetch_count=3)
        channel.basic_consume(queue, callback)
        channel.start_consuming()
    except pika.exceptions.AMQPError:
        time.sleep(0.2)
