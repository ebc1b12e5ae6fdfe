# misconception: 10
import os
import sys

import pika

queue = os.environ["QUEUE"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue=queue, durable=True)
for line in sys.stdin:
    body = line.rstrip("\r\n")
    channel.basic_publish(exchange="", routing_key=queue, body=body)
    print(f" [x] Sent {body}", flush=True)
connection.close()
