# misconception: 16
import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue=os.environ["QUEUE"], durable=True)

for line in sys.stdin:
    body = line.rstrip("\r\n")
    channel.basic_publish(exchange="", routing_key="hello", body=body)
    print(f" [x] Sent {body}", flush=True)
connection.close()
