# misconception: none
import os
import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()
channel.queue_declare(queue=os.environ["QUEUE"])
for line in sys.stdin:
    body = line.rstrip("\r\n")
    channel.basic_publish(exchange="", routing_key=os.environ["QUEUE"], body=body)
    print(f" [x] Sent {body}", flush=True)
connection.close()
