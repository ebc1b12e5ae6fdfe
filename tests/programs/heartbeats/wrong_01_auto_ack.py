# misconception: 1
import os
import threading
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def work(text):
    time.sleep(len(text) * delay)
    print(f" [x] Done {text}", flush=True)


def callback(ch, method, properties, body):
    threading.Thread(target=work, args=(body.decode(),), daemon=True).start()


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue=queue, durable=True)
channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
channel.start_consuming()
