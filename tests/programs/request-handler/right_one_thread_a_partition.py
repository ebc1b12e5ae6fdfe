import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

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
producer = Producer(LOG)


def work(text):
    time.sleep(len(text) * DELAY_S)
    if text.startswith("bad"):
        raise ValueError(f"nobody can work on {text!r}")


def lay_aside(record):
    producer.produce(f"{TOPIC}.failed", record.value(), record.key())
    if producer.flush(10):
        raise SystemExit("the log does not answer")


def commit(record):
    try:
        consumer.commit(message=record, asynchronous=False)
    except KafkaException as error:
        print(error, file=sys.stderr)


signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def handle(record):
    text = record.value().decode()
    try:
        work(text)
    except ValueError:
        lay_aside(record)
    else:
        print(f"done {text}", flush=True)


# A partition whose record is in work is paused: one at a time, in order, and the loop goes on.
busy = {}


def finish(partition):
    record, work_on_it = busy.pop(partition)
    work_on_it.result()
    commit(record)
    consumer.resume([TopicPartition(TOPIC, partition)])


def revoked(_, partitions):
    for place in partitions:
        if place.partition in busy:
            finish(place.partition)


consumer.subscribe([TOPIC], on_revoke=revoked)
with ThreadPoolExecutor(4) as pool:
    try:
        while True:
            record = consumer.poll(0.02)
            if record is not None and not record.error():
                consumer.pause([TopicPartition(TOPIC, record.partition())])
                busy[record.partition()] = record, pool.submit(handle, record)
            for partition in [number for number, (_, w) in busy.items() if w.done()]:
                finish(partition)
    finally:
        consumer.close()
