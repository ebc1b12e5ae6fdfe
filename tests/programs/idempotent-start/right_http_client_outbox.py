"""An outbox: each order gets a random name, which is on disk before the first try."""

import http.client
import json
import os
import secrets
import sqlite3
import time
from pathlib import Path
from urllib.parse import urlsplit

AT = urlsplit(os.environ["QUEUE_SERVICE_URL"])
TIMEOUT_S = float(os.environ["TIMEOUT"])

outbox = sqlite3.connect(Path(os.environ["STATE_DIR"]) / "outbox.sqlite")
outbox.execute(
    "CREATE TABLE IF NOT EXISTS outbox (name TEXT PRIMARY KEY, key TEXT, body TEXT, word TEXT)"
)
with open(os.environ["ORDERS"], encoding="utf-8") as lines, outbox:
    for line in lines:
        order = json.loads(line)
        body = json.dumps({**order, "buildId": secrets.randbelow(2**53) + 1})
        outbox.execute(
            "INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, NULL)",
            (order["order"], secrets.token_urlsafe(12), body),
        )

connection = http.client.HTTPConnection(AT.hostname, AT.port, timeout=TIMEOUT_S)


def settle(key, body):
    """Send until there is an answer that settles it."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    while True:
        try:
            connection.request("POST", "/v1/queue/message", body.encode(), headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens it again
            time.sleep(0.1)
            continue
        if answer.status < 300:
            return "started"
        if answer.status < 500 and answer.status != 429:
            return "refused"
        time.sleep(float(answer.headers.get("Retry-After", 0.5)))


waiting = outbox.execute("SELECT name, key, body FROM outbox WHERE word IS NULL").fetchall()
for name, key, body in waiting:
    word = settle(key, body)
    print(word, name, flush=True)
    with outbox:
        outbox.execute("UPDATE outbox SET word = ? WHERE name = ?", (word, name))
