# misconception: 44
import os
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException

DELAY_S = float(os.environ["DELAY"])
TOPIC = os.environ["TOPIC"]
LOG = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"]}
SESSION_MS = int(os.environ["SESSION_TIMEOUT_MS"])

consumer = Consumer(
    {
        **LOG,
        "group.id": os.environ["GROUP"],
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": SESSION_MS // 6,
    }
)


def work(text):
    time.sleep(len(text) * DELAY_S)
    if text.startswith("bad"):
        raise ValueError(f"nobody can work on {text!r}")


def commit(record):
    try:
        consumer.commit(message=record, asynchronous=False)
    except KafkaException as error:
        print(error, file=sys.stderr)


signal.signal(signal.SIGTERM, lambda *_: sys.exit())
consumer.subscribe([TOPIC])
try:
    while True:
        record = consumer.poll(1.0)
        if record is None or record.error():
            continue
        text = record.value().decode()
        try:
            work(text)
        except ValueError:
            print(f"could not do {text!r}", file=sys.stderr)
        else:
            print(f"done {text}", flush=True)
        commit(record)
finally:
    consumer.close()
