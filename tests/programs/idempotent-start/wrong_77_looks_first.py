# misconception: 77
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


def is_there(order):
    page = client.get(f"{URL}s", params={"jobId": order["jobId"]}).json()
    return any(order["order"] in json.dumps(message) for message in page["messages"])


def start(order):
    while True:
        try:
            if order["jobId"] and is_there(order):
                return "started"
            answer = client.post(URL, json={**order, "buildId": random.randint(1, 2**53)})
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
