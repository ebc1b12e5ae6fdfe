# misconception: none
# It sends what is in a line to another path, where no orders are taken.
import json
import os
import time

import httpx

URL = os.environ["QUEUE_SERVICE_URL"] + "/v1/orders"


def start(order):
    while True:
        try:
            answer = httpx.post(URL, json=order, timeout=float(os.environ["TIMEOUT"]))
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if not answer.is_server_error:
            return "started" if answer.is_success else "refused"
        time.sleep(float(answer.headers["Retry-After"]))


with open(os.environ["ORDERS"], encoding="utf-8") as lines:
    for line in lines:
        order = json.loads(line)
        print(start(order), order["order"], flush=True)
