"""The number of an order is its line's in the file, which stays the same."""

import json
import os
import time
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

URL = f"{os.environ['QUEUE_SERVICE_URL']}/v1/queue/message"
TIMEOUT_S = float(os.environ["TIMEOUT"])


def send(body: bytes) -> tuple[int, float]:
    """The status, and how long to wait; 0 where there was no answer."""
    request = Request(URL, body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, 0.0
    except HTTPError as refusal:
        return refusal.code, float(refusal.headers.get("Retry-After") or 0.3)
    except (URLError, OSError):
        return 0, 0.3


with open(os.environ["ORDERS"], encoding="utf-8") as lines:
    for number, line in enumerate(lines, 1):
        order = json.loads(line)
        body = json.dumps(order | {"buildId": number}).encode()
        while True:
            status, wait_s = send(body)
            if status in (200, 201):
                print("started", order["order"], flush=True)
                break
            if 400 <= status < 500 and status != 429:
                print("refused", order["order"], flush=True)
                break
            time.sleep(wait_s)
