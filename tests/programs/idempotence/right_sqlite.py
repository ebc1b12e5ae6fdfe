"""Remembers what is done in a database that all copies share."""

import os
import sqlite3
import time
from pathlib import Path

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
db = sqlite3.connect(Path(os.environ["STATE_DIR"]) / "done.db", timeout=10)
db.execute("CREATE TABLE IF NOT EXISTS done (id TEXT PRIMARY KEY)")
db.commit()


def on_message(channel, method, properties, body):
    text = body.decode()
    known = db.execute("SELECT 1 FROM done WHERE id = ?", [properties.message_id]).fetchone()
    if not known:
        time.sleep(len(text) * delay)
        with db:
            db.execute("INSERT INTO done VALUES (?)", [properties.message_id])
        print(f"done {text}", flush=True)
    channel.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, on_message)
channel.start_consuming()
