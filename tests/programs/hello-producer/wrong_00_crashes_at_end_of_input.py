# misconception: none
import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(os.environ["QUEUE"], durable=True)
while True:
    body = input()
    channel.basic_publish("", os.environ["QUEUE"], body)
    print("sent", body, flush=True)
