# misconception: 79
import json
import os
import time
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

URL = os.environ["QUEUE_SERVICE_URL"] + "/v1/queue/message"


def start(number, order):
    body = json.dumps({**order, "buildId": number}).encode()
    while True:
        try:
            with urlopen(Request(URL, body, {"Content-Type": "application/json"})):
                return "started"
        except HTTPError as refusal:
            if refusal.code == 422:
                return "refused"
            time.sleep(float(refusal.headers.get("Retry-After", 0.2)))
        except (URLError, OSError):
            time.sleep(0.2)


with open(os.environ["ORDERS"], encoding="utf-8") as lines:
    for number, line in enumerate(lines, 1):
        order = json.loads(line)
        print(start(number, order), order["order"], flush=True)
