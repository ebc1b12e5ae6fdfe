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

while True:
    tasks = database.execute(CLAIM, (OWNER,)).fetchall()
    if not tasks:
        time.sleep(0.05)
    for _, body in tasks:
        time.sleep(len(body) * DELAY_S)
        print(f"done {body}", flush=True)
