"""A consumer, one of two, that commits each request when its outcome is safe, and only then.

Done, or laid aside where others can find it: then the offset of that very record is
committed. A commit that the group refuses is no disaster: the request comes again.
"""

import os
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer

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
producer = Producer({**LOG, "enable.idempotence": True})


def work(text):
    time.sleep(len(text) * DELAY_S)
    if text.startswith("bad"):
        raise ValueError(f"nobody can work on {text!r}")


def lay_aside(record):
    """Return when the log has it; a program that can't say so must not commit."""
    refused = []

    def acknowledged(error, _):
        if error:
            refused.append(error)

    producer.produce(f"{TOPIC}.failed", record.value(), record.key(), on_delivery=acknowledged)
    if producer.flush(10) or refused:
        raise SystemExit(f"{record.value()!r} could not be laid aside: {refused}")


def commit(record):
    try:
        consumer.commit(message=record, asynchronous=False)
    except KafkaException as error:  # the group is changing: whoever has the partition does it
        print(f"not committed: {error}", file=sys.stderr)


def stop(*_):
    raise SystemExit


signal.signal(signal.SIGTERM, stop)
consumer.subscribe([TOPIC])
try:
    while True:
        record = consumer.poll(1.0)
        if record is None or record.error():
            continue
        try:
            text = record.value().decode()
            work(text)
        except Exception as error:  # whatever the work can't bear
            print(f"laid aside: {error!r}", file=sys.stderr)
            lay_aside(record)
        else:
            print(f"done {text}", flush=True)
        commit(record)
finally:
    consumer.close()  # says good-bye: the other need not wait until we are given up
