"""One of several copies that take tasks from a table: look for one, write that it is mine, work."""

import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=10)


def claim():
    """A task that is ours now, as (id, body); None: there is none."""
    task = database.execute(
        "SELECT id, body FROM tasks WHERE stage = 'waiting' ORDER BY id LIMIT 1"
    ).fetchone()
    if task:
        with database:
            database.execute(
                "UPDATE tasks SET stage = 'processing', owner = ? WHERE id = ?", (OWNER, task[0])
            )
    return task


while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    number, body = task
    time.sleep(len(body) * DELAY_S)
    print(f"done {body}", flush=True)
    with database:
        database.execute("UPDATE tasks SET stage = 'success' WHERE id = ?", (number,))
