import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)


def look():
    return database.execute(
        "SELECT id, body FROM tasks WHERE stage = 'waiting' ORDER BY id LIMIT 1"
    ).fetchone()


def claim():
    while task := look():
        changed = database.execute(
            "UPDATE tasks SET stage = 'processing', owner = ? WHERE id = ? AND stage = 'waiting'",
            (OWNER, task[0]),
        )
        if changed.rowcount == 1:
            return task
    return None


while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    time.sleep(len(task[1]) * DELAY_S)
    print(f"done {task[1]}", flush=True)
    database.execute("UPDATE tasks SET stage = 'success' WHERE id = ?", (task[0],))
