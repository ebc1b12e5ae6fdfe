# misconception: none
import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(os.environ["QUEUE"], durable=True)
for line in sys.stdin:
    channel.basic_publish("", os.environ["QUEUE"], line)
    print("sent", line, end="", flush=True)
connection.close()
