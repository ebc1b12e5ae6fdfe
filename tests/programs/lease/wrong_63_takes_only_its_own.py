# misconception: 63
import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
LEASE_S = float(os.environ["LEASE"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)

CLAIM = """
UPDATE tasks SET stage = 'processing', owner = :owner, lease_end = :now + :lease
WHERE id = (
    SELECT id FROM tasks
    WHERE stage = 'waiting' OR stage = 'processing' AND owner = :owner AND lease_end < :now
    ORDER BY id LIMIT 1
)
RETURNING id, body
"""


def claim():
    values = {"owner": OWNER, "now": time.time(), "lease": LEASE_S}
    tasks = database.execute(CLAIM, values).fetchall()
    return tasks[0] if tasks else None


def work(number, body):
    """In steps, with the lease extended after each; whether the task is still ours."""
    end = time.monotonic() + len(body) * DELAY_S
    while (left_s := end - time.monotonic()) > 0:
        time.sleep(min(left_s, LEASE_S / 4))
        extended = database.execute(
            "UPDATE tasks SET lease_end = ? WHERE id = ? AND owner = ?",
            (time.time() + LEASE_S, number, OWNER),
        )
        if not extended.rowcount:
            return False
    return True


while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    if not work(*task):
        continue
    print(f"done {task[1]}", flush=True)
    database.execute(
        "UPDATE tasks SET stage = 'success' WHERE id = ? AND owner = ?", (task[0], OWNER)
    )
