"""With kombu's ConsumerMixin."""

import os
import time

from kombu import Connection, Queue
from kombu.mixins import ConsumerMixin

DELAY = float(os.environ["DELAY"])


class Worker(ConsumerMixin):
    def __init__(self, connection):
        self.connection = connection

    def get_consumers(self, Consumer, channel):
        queue = Queue(os.environ["QUEUE"], durable=True)
        return [Consumer([queue], on_message=self.on_message)]

    def on_message(self, message):
        text = bytes(message.body).decode("utf-8")
        time.sleep(len(text) * DELAY)
        print(f" [worker] done {text}", flush=True)
        message.ack()


with Connection(os.environ["AMQP_URL"]) as connection:
    Worker(connection).run()
