# misconception: 55
import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
LEASE_S = float(os.environ["LEASE"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)


def claim():
    task = database.execute(
        "SELECT id, body FROM tasks"
        " WHERE stage = 'waiting' OR stage = 'processing' AND lease_end < ? ORDER BY id LIMIT 1",
        (time.time(),),
    ).fetchone()
    if task:
        database.execute(
            "UPDATE tasks SET stage = 'processing', owner = ?, lease_end = ? WHERE id = ?",
            (OWNER, time.time() + LEASE_S, task[0]),
        )
    return task


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
