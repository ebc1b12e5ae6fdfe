"""A worker, one of two, that does each message once, though some are delivered twice.

What is done is written where all copies see it and none forgets it: in a database. The
effect and the record of it belong to one transaction. Here the effect is a printed line.
"""

import contextlib
import os
import signal
import sqlite3
import time
from pathlib import Path

import pika

QUEUE = os.environ["QUEUE"]
DELAY_S = float(os.environ["DELAY"])

database = sqlite3.connect(Path(os.environ["STATE_DIR"]) / "done.sqlite")
database.execute("CREATE TABLE IF NOT EXISTS done (message_id TEXT PRIMARY KEY)")


def on_message(channel, method, properties, body):
    message = (properties.message_id,)
    if not database.execute("SELECT 1 FROM done WHERE message_id = ?", message).fetchone():
        text = body.decode()
        time.sleep(len(text) * DELAY_S)  # the work
        with database:  # all of this or nothing; another copy waits here
            written = database.execute("INSERT OR IGNORE INTO done VALUES (?)", message)
            if written.rowcount:  # nobody else has done it in the meantime
                print(f"done {text}", flush=True)
    channel.basic_ack(method.delivery_tag)


signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be stopped is as Ctrl-C
with (
    contextlib.suppress(KeyboardInterrupt),
    pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection,
):
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(QUEUE, on_message)
    channel.start_consuming()
