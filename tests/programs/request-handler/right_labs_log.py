"""With the lab's own client: the log of `labs.request_queue`, and a plain loop."""

import os
import signal
import sys
import time
from contextlib import suppress

from labs.request_queue.kafka import KafkaLog
from labs.request_queue.log import NotCommitted

DELAY_S = float(os.environ["DELAY"])
TOPIC = os.environ["TOPIC"]
SESSION_MS = int(os.environ["SESSION_TIMEOUT_MS"])

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
log = KafkaLog(os.environ["KAFKA_BOOTSTRAP"], {"session.timeout.ms": SESSION_MS})
consumer = log.consumer(os.environ["GROUP"], [TOPIC])
try:
    while True:
        record = consumer.poll(1.0)
        if record is None:
            continue
        text = record.value.decode()
        time.sleep(len(text) * DELAY_S)
        if text.startswith("bad"):
            log.append(f"{TOPIC}.failed", record.value, key=record.key)
        else:
            print(f"done {text}", flush=True)
        with suppress(NotCommitted):
            consumer.commit(record)
finally:
    consumer.close()
    log.close()
