"""After a lost answer it looks before it sends again; but under the same name: it does no harm."""

import hashlib
import json
import os
import time

import httpx

client = httpx.Client(
    base_url=os.environ["QUEUE_SERVICE_URL"] + "/v1/queue", timeout=float(os.environ["TIMEOUT"])
)


def settle(order):
    number = int(hashlib.sha512(order["order"].encode()).hexdigest()[:13], 16) + 1
    lost = False
    while True:
        try:
            if lost and client.get("/message", params={"buildId": number}).status_code == 200:
                return "started"
            answer = client.post("/message", json=order | {"buildId": number})
        except httpx.TransportError:
            lost = True
            time.sleep(0.2)
            continue
        if answer.status_code in (200, 201):
            return "started"
        if answer.status_code == 422:
            return "refused"
        time.sleep(float(answer.headers.get("Retry-After", 1)))


with open(os.environ["ORDERS"], encoding="utf-8") as lines:
    for order in map(json.loads, lines):
        print(settle(order), order["order"], flush=True)
