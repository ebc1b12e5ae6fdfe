# misconception: 55
import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)


def claim():
    waiting = database.execute("SELECT id, body FROM tasks WHERE stage = 'waiting'").fetchall()
    for number, body in waiting:
        row = database.execute("SELECT stage FROM tasks WHERE id = ?", (number,)).fetchone()
        if row == ("waiting",):  # nobody has taken it meanwhile
            with database:
                database.execute(
                    "UPDATE tasks SET stage = 'processing', owner = ? WHERE id = ?",
                    (OWNER, number),
                )
            return number, body
    return None


while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    time.sleep(len(task[1]) * DELAY_S)
    print(f"done {task[1]}", flush=True)
    database.execute("UPDATE tasks SET stage = 'success' WHERE id = ?", (task[0],))
