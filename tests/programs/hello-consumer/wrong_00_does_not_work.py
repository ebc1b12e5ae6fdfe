# misconception: none
import os

import pika


def callback(ch, method, properties, body):
    print(f" [x] Done {body.decode()}", flush=True)
    ch.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(os.environ["QUEUE"], durable=True)
channel.basic_consume(os.environ["QUEUE"], callback)
channel.start_consuming()
