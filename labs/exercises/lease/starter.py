"""One of several copies that take tasks from a table, each with a lease: a claim that ends."""

import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
LEASE_S = float(os.environ["LEASE"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)

CLAIM = """
UPDATE tasks SET stage = 'processing', owner = :owner, lease_end = :now + :lease
WHERE id = (
    SELECT id FROM tasks
    WHERE stage = 'waiting' OR stage = 'processing' AND lease_end < :now
    ORDER BY id LIMIT 1
)
RETURNING id, body
"""


def claim():
    """A task that is ours now, as (id, body); None: there is none."""
    values = {"owner": OWNER, "now": time.time(), "lease": LEASE_S}
    tasks = database.execute(CLAIM, values).fetchall()
    return tasks[0] if tasks else None


while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    number, body = task
    time.sleep(len(body) * DELAY_S)
    print(f"done {body}", flush=True)
    database.execute(
        "UPDATE tasks SET stage = 'success' WHERE id = ? AND owner = ?", (number, OWNER)
    )
