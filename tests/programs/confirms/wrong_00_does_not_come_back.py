# misconception: none
import os
import sys

import pika

queue = os.environ["QUEUE"]
with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    for line in sys.stdin:
        body = line.rstrip("\r\n")
        sent = False
        while not sent:
            try:
                channel.basic_publish("", queue, body, mandatory=True)
                sent = True
            except pika.exceptions.NackError:
                connection.sleep(0.1)
            except pika.exceptions.UnroutableError:
                channel.queue_declare(queue, durable=True)
        print("sent", body, flush=True)
