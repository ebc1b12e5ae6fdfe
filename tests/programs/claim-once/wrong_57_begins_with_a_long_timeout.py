# misconception: 57
import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=60, isolation_level=None)


def claim():
    database.execute("BEGIN TRANSACTION")
    tasks = database.execute(
        "SELECT id, body FROM tasks WHERE stage = 'waiting' ORDER BY id"
    ).fetchmany(1)
    for number, _ in tasks:
        changed = database.execute(
            "UPDATE tasks SET stage = 'processing', owner = ? WHERE id = ? AND stage = 'waiting'",
            (OWNER, number),
        )
        assert changed.rowcount == 1
    database.execute("COMMIT")
    return tasks[0] if tasks else None


while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    time.sleep(len(task[1]) * DELAY_S)
    print(f"done {task[1]}", flush=True)
    database.execute("UPDATE tasks SET stage = 'success' WHERE id = ?", (task[0],))
