"""With kombu's drain_events loop, one message at a time."""

import os
import time

from kombu import Connection, Consumer, Queue

delay = float(os.environ["DELAY"])


def handle(message):
    text = bytes(message.body).decode()
    time.sleep(len(text) * delay)
    print(f"done {text}", flush=True)
    message.ack()


with Connection(os.environ["AMQP_URL"]) as connection:
    queue = Queue(os.environ["QUEUE"], durable=True)
    with Consumer(connection, [queue], on_message=handle, prefetch_count=1):
        while True:
            try:
                connection.drain_events(timeout=1)
            except TimeoutError:
                pass
