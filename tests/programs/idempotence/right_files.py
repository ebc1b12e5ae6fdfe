"""One empty file for each body that is done; polls."""

import hashlib
import os
import time
from pathlib import Path

import pika

folder = Path(os.environ["STATE_DIR"]) / "done"
folder.mkdir(exist_ok=True)
delay = float(os.environ["DELAY"])
queue = os.environ["QUEUE"]

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
while True:
    method, properties, body = channel.basic_get(queue)
    if method is None:
        connection.sleep(0.05)
        continue
    mark = folder / hashlib.sha256(body).hexdigest()
    if not mark.exists():
        text = body.decode()
        time.sleep(len(text) * delay)
        print(f"done {text}", flush=True)
        mark.touch()
    channel.basic_ack(method.delivery_tag)
