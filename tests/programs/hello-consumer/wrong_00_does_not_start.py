# misconception: none
import os

import pika


def callback(ch, method, properties, body):
    print("done", body.decode(), flush=True)


channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.queue_declare(queue=os.environ["QUEUE"], durable=True)
channel.basic_consume(callback, queue=os.environ["QUEUE"], no_ack=True)
channel.start_consuming()
