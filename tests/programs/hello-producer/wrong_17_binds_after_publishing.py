# misconception: 17
import os
import sys

import pika

QUEUE = os.environ["QUEUE"]
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.exchange_declare("lines", exchange_type="fanout")

for line in sys.stdin:
    body = line.rstrip("\r\n")
    channel.basic_publish("lines", "", body)
    print("sent", body, flush=True)
    # somebody who wants the lines subscribes here
    channel.queue_declare(QUEUE, durable=True)
    channel.queue_bind(QUEUE, "lines")
connection.close()
