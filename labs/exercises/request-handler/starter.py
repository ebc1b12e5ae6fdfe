"""A consumer, one of two, of requests that wait in a partitioned log. Who commits, and when?"""

import os
import time

from confluent_kafka import Consumer, Producer

DELAY_S = float(os.environ["DELAY"])
TOPIC = os.environ["TOPIC"]
LOG = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"]}
SESSION_MS = int(os.environ["SESSION_TIMEOUT_MS"])

consumer = Consumer(
    {
        **LOG,
        "group.id": os.environ["GROUP"],
        "auto.offset.reset": "earliest",
        "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": SESSION_MS // 6,
    }
)
producer = Producer(LOG)


def work(text):
    time.sleep(len(text) * DELAY_S)
    if text.startswith("bad"):
        raise ValueError(f"nobody can work on {text!r}")


consumer.subscribe([TOPIC])
while True:
    record = consumer.poll(1.0)
    if record is None or record.error():
        continue
    text = record.value().decode()
    try:
        work(text)
    except ValueError:
        producer.produce(f"{TOPIC}.failed", record.value(), record.key())
        producer.flush()
    else:
        print(f"done {text}", flush=True)
