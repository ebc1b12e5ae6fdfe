# misconception: 7
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
consuming = connection.channel()
acknowledging = connection.channel()
consuming.queue_declare(queue, durable=True)
consuming.basic_qos(prefetch_count=1)


def callback(ch, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * delay)
    print(f" [x] Done {text}", flush=True)
    acknowledging.basic_ack(method.delivery_tag)


consuming.basic_consume(queue, callback)
consuming.start_consuming()
