"""One of several copies that take tasks from a table, each of which only one copy gets.

The claim is one statement: it looks for a task and writes that it is ours, and nobody can write
in between. What it gives back is what it has changed. The work is done with no transaction open.
"""

import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]

# Each statement is a transaction of its own, and waits up to 10 s for its turn to write.
database = sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)

CLAIM = """
UPDATE tasks SET stage = 'processing', owner = ?
WHERE id = (SELECT id FROM tasks WHERE stage = 'waiting' ORDER BY id LIMIT 1)
RETURNING id, body
"""


def claim():
    """A task that is ours now, as (id, body); None: there is none."""
    tasks = database.execute(CLAIM, (OWNER,)).fetchall()
    return tasks[0] if tasks else None


while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    number, body = task
    time.sleep(len(body) * DELAY_S)
    print(f"done {body}", flush=True)
    database.execute("UPDATE tasks SET stage = 'success' WHERE id = ?", (number,))
