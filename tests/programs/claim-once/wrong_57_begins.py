# misconception: 57
import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)


def claim():
    database.execute("BEGIN")
    task = database.execute(
        "SELECT id, body FROM tasks WHERE stage = 'waiting' ORDER BY id LIMIT 1"
    ).fetchone()
    if task:
        database.execute(
            "UPDATE tasks SET stage = 'processing', owner = ? WHERE id = ?", (OWNER, task[0])
        )
    database.execute("COMMIT")
    return task


while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    time.sleep(len(task[1]) * DELAY_S)
    print(f"done {task[1]}", flush=True)
    database.execute("UPDATE tasks SET stage = 'success' WHERE id = ?", (task[0],))
