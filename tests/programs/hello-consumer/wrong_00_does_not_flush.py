# misconception: none
import os
import time

import pika

delay = float(os.environ["DELAY"])


def callback(ch, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * delay)
    print("done", text)
    ch.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(os.environ["QUEUE"], durable=True)
channel.basic_consume(os.environ["QUEUE"], callback)
channel.start_consuming()
