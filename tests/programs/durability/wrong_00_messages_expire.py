# misconception: none
import os
import sys

import pika

queue = os.environ["QUEUE"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
properties = pika.BasicProperties(delivery_mode=2, expiration="200")
for line in sys.stdin:
    body = line.rstrip("\r\n")
    channel.basic_publish("", queue, body, properties)
    print("sent", body, flush=True)
connection.close()
