# misconception: 80
import hashlib
import json
import os
import time

import httpx

URL = os.environ["QUEUE_SERVICE_URL"] + "/v1/queue/message"
client = httpx.Client(timeout=float(os.environ["TIMEOUT"]))


def orders():
    with open(os.environ["ORDERS"], encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def number(name):
    return 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")


def start(order):
    while True:
        try:
            answer = client.post(URL, json={**order, "buildId": number(order["order"])})
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.status_code == 201:
            return "started"
        if answer.status_code not in (429, 503):
            return "refused"
        time.sleep(float(answer.headers.get("Retry-After", 0.2)))


for order in orders():
    print(start(order), order["order"], flush=True)
