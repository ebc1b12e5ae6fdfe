"""Starts builds at a queue service: sends each order until there is an answer that settles it."""

import json
import os
import random
import sys
import time
import uuid
from pathlib import Path

import httpx

URL = os.environ["QUEUE_SERVICE_URL"] + "/v1/queue/message"
TIMEOUT_S = float(os.environ["TIMEOUT"])
PAUSE_S = 0.2

client = httpx.Client(timeout=TIMEOUT_S)


def start(order):
    """Send an order until it is known what has become of it: `started` or `refused`."""
    while True:
        body = {**order, "buildId": random.randint(1, 2**53)}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        try:
            answer = client.post(URL, json=body, headers=headers)
        except httpx.TransportError as trouble:
            print(f"{order['order']}: no answer, once more: {trouble!r}", file=sys.stderr)
            time.sleep(PAUSE_S)
            continue
        if answer.is_success:
            return "started"
        if answer.is_client_error and answer.status_code != 429:
            print(answer.text, file=sys.stderr)
            return "refused"
        time.sleep(float(answer.headers.get("Retry-After", PAUSE_S)))


with Path(os.environ["ORDERS"]).open(encoding="utf-8") as lines:
    for line in lines:
        order = json.loads(line)
        print(start(order), order["order"], flush=True)
