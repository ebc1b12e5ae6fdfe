# misconception: 68
import json
import os
import secrets
import time
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

URL = os.environ["QUEUE_SERVICE_URL"] + "/v1/queue/message"


def start(order):
    while True:
        body = json.dumps({**order, "buildId": secrets.randbelow(10**12) + 1}).encode()
        try:
            request = Request(URL, body, {"Content-Type": "application/json"})
            with urlopen(request, timeout=float(os.environ["TIMEOUT"])):
                return "started"
        except HTTPError as refusal:
            if refusal.code == 422:
                return "refused"
            time.sleep(float(refusal.headers.get("Retry-After", 0.2)))
        except (URLError, OSError):
            time.sleep(0.2)


with open(os.environ["ORDERS"], encoding="utf-8") as lines:
    for line in lines:
        order = json.loads(line)
        print(start(order), order["order"], flush=True)
