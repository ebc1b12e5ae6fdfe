import os
import sqlite3
import time
from contextlib import closing

DELAY_S = float(os.environ["DELAY"])
OWNER = os.environ["OWNER"]

CLAIM = """
UPDATE tasks SET stage = 'processing', owner = ?
WHERE id = (SELECT id FROM tasks WHERE stage = 'waiting' ORDER BY id LIMIT 1)
RETURNING id, body
"""


def execute(statement, *values):
    """A connection for each statement, and one transaction around it."""
    with closing(sqlite3.connect(os.environ["DATABASE"], timeout=30)) as database, database:
        return database.execute(statement, values).fetchall()


while True:
    tasks = execute(CLAIM, OWNER)
    if not tasks:
        time.sleep(0.03)
        continue
    ((number, body),) = tasks
    time.sleep(len(body) * DELAY_S)
    print(f" [x] Done {body}", flush=True)
    execute("UPDATE tasks SET stage = 'success' WHERE id = ?", number)
