# misconception: 78
import json
import os
import random
import time

import httpx

URL = os.environ["QUEUE_SERVICE_URL"] + "/v1/queue/message"
client = httpx.Client(timeout=float(os.environ["TIMEOUT"]))


def orders():
    with open(os.environ["ORDERS"], encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def start(order):
    headers = {"Idempotency-Key": order["order"]}
    while True:
        body = {**order, "buildId": random.randint(1, 2**53)}
        try:
            answer = client.post(URL, json=body, headers=headers)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.is_success:
            return "started"
        if answer.status_code == 422:
            return "refused"
        time.sleep(float(answer.headers.get("Retry-After", 0.2)))


for order in orders():
    print(start(order), order["order"], flush=True)
