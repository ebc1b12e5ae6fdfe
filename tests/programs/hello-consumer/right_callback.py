"""The tutorial's consumer, with auto_ack: enough as long as nothing goes wrong."""

import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def callback(ch, method, properties, body):
    text = body.decode()
    print(f" [x] Received {text}", flush=True)
    time.sleep(len(text) * delay)
    print(f" [x] Done {text}", flush=True)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue=queue, durable=True)
channel.basic_consume(queue=queue, auto_ack=True, on_message_callback=callback)
print(" [*] Waiting for messages. To exit press CTRL+C", flush=True)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    channel.stop_consuming()
connection.close()
