# misconception: none
import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)

CLAIM = """
UPDATE tasks SET stage = 'processing', owner = ?
WHERE id = (SELECT id FROM tasks WHERE stage = 'waiting' ORDER BY id LIMIT 1)
RETURNING id, body
"""

while tasks := database.execute(CLAIM, (OWNER,)).fetchall():
    for number, body in tasks:
        time.sleep(len(body) * DELAY_S)
        print(f"done {body}", flush=True)
        database.execute("UPDATE tasks SET stage = 'success' WHERE id = ?", (number,))
