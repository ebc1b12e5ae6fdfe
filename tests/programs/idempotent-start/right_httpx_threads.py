"""Several orders at a time; when the service is busy, all wait."""

import json
import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

client = httpx.Client(
    base_url=os.environ["QUEUE_SERVICE_URL"], timeout=float(os.environ["TIMEOUT"])
)
SPACE = uuid.UUID("a7c1f0de-64c8-4a53-9b0f-6f64cd3d1f11")
lock = threading.Lock()
not_before = 0.0


def wait_our_turn():
    while (left_s := not_before - time.monotonic()) > 0:
        time.sleep(left_s)


def start(line):
    global not_before
    order = json.loads(line)
    name = uuid.uuid5(SPACE, order["order"])
    body = order | {"buildId": name.int % 2**53 + 1}
    pause_s = 0.1
    while True:
        wait_our_turn()
        try:
            answer = client.post(
                "/v1/queue/message", json=body, headers={"Idempotency-Key": str(name)}
            )
        except httpx.HTTPError:
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)
            continue
        if answer.status_code in (200, 201):
            word = "started"
        elif answer.status_code in (429, 503):
            with lock:
                not_before = time.monotonic() + float(answer.headers["Retry-After"])
            continue
        else:
            word = "refused"
        with lock:
            print(f" [{threading.current_thread().name}] {word} {order['order']}", flush=True)
        return


with ThreadPoolExecutor(4) as pool:
    for _ in pool.map(start, Path(os.environ["ORDERS"]).read_text(encoding="utf-8").splitlines()):
        pass
