# misconception: 18
import os
import sys

import pika

queue = os.environ["QUEUE"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare(queue, durable=True, arguments={"x-max-length": 3})

for line in sys.stdin:
    body = line.rstrip("\r\n")
    channel.basic_publish("", queue, body, mandatory=True)
    print("sent", body, flush=True)
connection.close()
