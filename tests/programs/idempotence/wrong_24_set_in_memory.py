# misconception: 24
# (The set dies with its process: from outside, nothing was remembered at all.)
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
seen = set()


def callback(ch, method, properties, body):
    if properties.message_id not in seen:
        text = body.decode()
        time.sleep(len(text) * delay)
        print(f" [x] Done {text}", flush=True)
        seen.add(properties.message_id)
    ch.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, callback)
channel.start_consuming()
