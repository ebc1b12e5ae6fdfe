# misconception: none
import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(os.environ["QUEUE"], durable=True)
for line in sys.stdin:
    body = line.rstrip("\r\n")
    channel.basic_publish("", os.environ["QUEUE"], body.encode("ascii", "ignore"))
    print("sent", body, flush=True)
connection.close()
