# misconception: 15
import os
import sys

import pika

queue = os.environ["QUEUE"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue)
channel.queue_declare(queue, durable=True)  # make it durable
for line in sys.stdin:
    body = line.rstrip("\r\n")
    channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))
    print("sent", body, flush=True)
connection.close()
