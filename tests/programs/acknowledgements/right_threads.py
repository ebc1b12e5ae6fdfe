"""Works on three messages at once, in threads; each is acknowledged by itself when it is done."""

import os
import threading
import time

import pika

QUEUE = os.environ["QUEUE"]
DELAY = float(os.environ["DELAY"])


class Worker:
    def __init__(self):
        self.connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        self.channel = self.connection.channel()
        self.channel.queue_declare(QUEUE, durable=True)
        self.channel.basic_qos(prefetch_count=3)
        self.channel.basic_consume(QUEUE, self.on_message)
        self.print_lock = threading.Lock()

    def on_message(self, channel, method, properties, body):
        threading.Thread(
            target=self.work, args=(method.delivery_tag, body.decode()), daemon=True
        ).start()

    def work(self, tag, body):
        time.sleep(len(body) * DELAY)
        with self.print_lock:
            print(f"done {body}", flush=True)
        self.connection.add_callback_threadsafe(lambda: self.channel.basic_ack(tag))


Worker().channel.start_consuming()
