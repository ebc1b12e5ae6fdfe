"""With kombu's ConsumerMixin, which connects again and makes its consumers anew."""

import os
import time

from kombu import Connection, Queue
from kombu.mixins import ConsumerMixin


class Worker(ConsumerMixin):
    def __init__(self, connection, queue, delay):
        self.connection, self.queue, self.delay = connection, queue, delay

    def get_consumers(self, Consumer, channel):
        return [Consumer([self.queue], callbacks=[self.work], prefetch_count=1)]

    def work(self, payload, message):
        text = payload if isinstance(payload, str) else bytes(payload).decode()
        time.sleep(len(text) * self.delay)
        print(f"done {text}", flush=True)
        message.ack()


with Connection(os.environ["AMQP_URL"]) as connection:
    queue = Queue(os.environ["QUEUE"], durable=True)
    Worker(connection, queue, float(os.environ["DELAY"])).run()
