# misconception: 69
import hashlib
import json
import os

import httpx

URL = os.environ["QUEUE_SERVICE_URL"] + "/v1/queue/message"
client = httpx.Client(timeout=float(os.environ["TIMEOUT"]))


def orders():
    with open(os.environ["ORDERS"], encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def number(name):
    return 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")


for order in orders():
    answer = client.post(URL, json={**order, "buildId": number(order["order"])})
    print("started" if answer.is_success else "refused", order["order"], flush=True)
