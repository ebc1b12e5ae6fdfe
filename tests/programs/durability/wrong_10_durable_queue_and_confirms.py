# misconception: 10
import os
import sys

import pika

queue = os.environ["QUEUE"]
with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(queue, durable=True)
    properties = pika.BasicProperties(content_type="text/plain", delivery_mode=1)
    for line in sys.stdin:
        body = line.rstrip("\r\n")
        channel.basic_publish("", queue, body.encode(), properties, mandatory=True)
        print("sent", body, flush=True)
