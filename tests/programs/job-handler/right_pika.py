"""Without the job queue: pika, one job at a time, and a queue in which what is not ready waits."""

import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import pika

QUEUE = os.environ["QUEUE"]
FAILED, LATER = f"{QUEUE}.failed", f"{QUEUE}.later"
DELAY_S = float(os.environ["DELAY"])
READY = Path(os.environ["READY_DIR"])

database = sqlite3.connect(Path(os.environ["STATE_DIR"]) / "done.sqlite", timeout=30)
database.execute("CREATE TABLE IF NOT EXISTS done (job_id TEXT PRIMARY KEY)")


def deploy(job):
    if not (READY / job["job_id"]).exists():
        return False
    name = (job["job_id"],)
    if not database.execute("SELECT 1 FROM done WHERE job_id = ?", name).fetchone():
        time.sleep(len(job["text"]) * DELAY_S)
        if job["text"].startswith("bad"):
            raise ValueError(job["text"])
        with database:
            if database.execute("INSERT OR IGNORE INTO done VALUES (?)", name).rowcount:
                print(f"done {job['text']}", flush=True)
    return True


def on_message(channel, method, properties, body):
    try:
        goes_to = None if deploy(json.loads(body)) else LATER
    except ValueError:
        goes_to = FAILED
    if goes_to:
        channel.basic_publish("", goes_to, body, properties, mandatory=True)  # confirmed
    channel.basic_ack(method.delivery_tag)


signal.signal(signal.SIGTERM, signal.default_int_handler)
back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": QUEUE, "x-message-ttl": 1000}
with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    for queue, arguments in ((FAILED, {}), (LATER, back), (QUEUE, {})):
        channel.queue_declare(queue, durable=True, arguments=arguments)
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(QUEUE, on_message)
    try:
        channel.start_consuming()
    except KeyboardInterrupt:
        pass
