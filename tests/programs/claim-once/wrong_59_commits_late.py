# misconception: 59
import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=30)

CLAIM = """
UPDATE tasks SET stage = 'processing', owner = ?
WHERE id = (SELECT id FROM tasks WHERE stage = 'waiting' ORDER BY id LIMIT 1)
RETURNING id, body
"""

while True:
    task = database.execute(CLAIM, (OWNER,)).fetchone()  # this begins a transaction
    if task is None:
        database.commit()
        time.sleep(0.05)
        continue
    time.sleep(len(task[1]) * DELAY_S)
    print(f"done {task[1]}", flush=True)
    database.execute("UPDATE tasks SET stage = 'success' WHERE id = ?", (task[0],))
    database.commit()
