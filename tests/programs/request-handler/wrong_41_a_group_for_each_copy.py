# misconception: 41
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
        "group.id": f"{os.environ['GROUP']}-{os.getpid()}",
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
            lay_aside(record)
        else:
            print(f"done {text}", flush=True)
        commit(record)
finally:
    consumer.close()
