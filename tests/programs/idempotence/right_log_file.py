"""A text file, one id a line, read before each message and locked while it is written."""

import fcntl
import os
import threading
import time

import pika

QUEUE = os.environ["QUEUE"]
DELAY = float(os.environ["DELAY"])
LOG = os.path.join(os.environ["STATE_DIR"], "done.log")


def is_done(message_id):
    try:
        with open(LOG) as log:
            return f"{message_id}\n" in log
    except FileNotFoundError:
        return False


def remember(message_id):
    with open(LOG, "a") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.write(f"{message_id}\n")
        log.flush()
        os.fsync(log.fileno())


def work(connection, channel, method, properties, text):
    if not is_done(properties.message_id):
        time.sleep(len(text) * DELAY)
        remember(properties.message_id)
        print("done", text, flush=True)
    connection.add_callback_threadsafe(lambda: channel.basic_ack(method.delivery_tag))


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(QUEUE, durable=True)
channel.basic_qos(prefetch_count=1)
for method, properties, body in channel.consume(QUEUE, inactivity_timeout=1):
    if method:
        arguments = (connection, channel, method, properties, body.decode())
        threading.Thread(target=work, args=arguments, daemon=True).start()
