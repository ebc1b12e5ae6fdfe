# misconception: none
import os
import sys

import pika

lines = sys.stdin.read().split("\n")

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(os.environ["QUEUE"], durable=True)
for line in lines:
    if line:
        body = line.rstrip("\r")
        channel.basic_publish("", os.environ["QUEUE"], body)
        print("sent", body, flush=True)
connection.close()
