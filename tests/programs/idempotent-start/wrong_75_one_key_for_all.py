# misconception: 75
import hashlib
import json
import os
import time
import uuid

import httpx

URL = os.environ["QUEUE_SERVICE_URL"] + "/v1/queue/message"
client = httpx.Client(timeout=float(os.environ["TIMEOUT"]))


def orders():
    with open(os.environ["ORDERS"], encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def number(name):
    return 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")


HEADERS = {"Idempotency-Key": str(uuid.uuid5(uuid.NAMESPACE_URL, "orders"))}


def start(order):
    while True:
        body = {**order, "buildId": number(order["order"])}
        try:
            answer = client.post(URL, json=body, headers=HEADERS)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.is_success:
            return "started"
        if answer.is_client_error:
            return "refused"
        time.sleep(float(answer.headers.get("Retry-After", 0.2)))


for order in orders():
    print(start(order), order["order"], flush=True)
