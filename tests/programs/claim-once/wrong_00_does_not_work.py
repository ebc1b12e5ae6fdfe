# misconception: none
import os
import sqlite3
import time

OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)

CLAIM = """
UPDATE tasks SET stage = 'processing', owner = ?
WHERE id = (SELECT id FROM tasks WHERE stage = 'waiting' ORDER BY id LIMIT 1)
RETURNING id, body
"""

while True:
    tasks = database.execute(CLAIM, (OWNER,)).fetchall()
    if not tasks:
        time.sleep(0.05)
    for number, body in tasks:
        print(f"done {body}", flush=True)
        database.execute("UPDATE tasks SET stage = 'success' WHERE id = ?", (number,))
