"""Starts builds at a queue service, each once, though answers get lost and it may be killed.

What an order is called is made of the order's own name: so every try has it, and every run of
this program, and no other order. Where there was no answer, the same is sent again. The service
finds out whether it has it already.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import httpx

URL = os.environ["QUEUE_SERVICE_URL"] + "/v1/queue/message"
TIMEOUT_S = float(os.environ["TIMEOUT"])
PAUSE_S = 0.2

client = httpx.Client(timeout=TIMEOUT_S)


def build_id(name):
    """A whole number for a name, the same each time: the first 48 bits of its hash."""
    return 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")


def start(order):
    """Send an order until it is known what has become of it: `started` or `refused`."""
    body = {**order, "buildId": build_id(order["order"])}
    headers = {"Idempotency-Key": order["order"]}
    while True:
        try:
            answer = client.post(URL, json=body, headers=headers)
        except httpx.TransportError as trouble:  # it may be there, or not
            print(f"{order['order']}: no answer, once more: {trouble!r}", file=sys.stderr)
            time.sleep(PAUSE_S)
            continue
        if answer.is_success:  # now, or already
            return "started"
        if answer.is_client_error and answer.status_code != 429:
            print(answer.text, file=sys.stderr)
            return "refused"
        time.sleep(float(answer.headers.get("Retry-After", PAUSE_S)))


with Path(os.environ["ORDERS"]).open(encoding="utf-8") as lines:
    for line in lines:
        order = json.loads(line)
        print(start(order), order["order"], flush=True)
