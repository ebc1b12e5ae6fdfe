# misconception: 36
import os
import sys
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def callback(ch, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * delay)
    print(f" [x] Done {text}", flush=True)
    ch.basic_ack(delivery_tag=method.delivery_tag)


try:
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.queue_declare(queue=queue, durable=True)
    channel.basic_consume(queue=queue, on_message_callback=callback)
    channel.start_consuming()
except (pika.exceptions.AMQPError, KeyboardInterrupt):
    print("good bye")
    sys.exit(0)
