import os
import sqlite3
import threading
import time

DELAY_S = float(os.environ["DELAY"])
LEASE_S = float(os.environ["LEASE"])
OWNER = os.environ["OWNER"]


def connect():
    return sqlite3.connect(os.environ["DATABASE"], timeout=10)


def claim():
    """Lock first, then look."""
    now = time.time()
    database.execute("BEGIN IMMEDIATE")
    with database:
        task = database.execute(
            "SELECT id, body FROM tasks WHERE stage = 'waiting'"
            " OR stage = 'processing' AND lease_end < ? ORDER BY id LIMIT 1",
            (now,),
        ).fetchone()
        if task:
            database.execute(
                "UPDATE tasks SET stage = 'processing', owner = ?, lease_end = ? WHERE id = ?",
                (OWNER, time.time() + LEASE_S, task[0]),
            )
    return task


class Lease(threading.Thread):
    """Extends the lease until it is told to end, or the task is another's."""

    def __init__(self, number):
        super().__init__(daemon=True)
        self.number, self.over = number, threading.Event()

    def run(self):
        connection = connect()
        while not self.over.wait(LEASE_S / 3):
            with connection:
                extended = connection.execute(
                    "UPDATE tasks SET lease_end = ? WHERE id = ? AND owner = ?",
                    (time.time() + LEASE_S, self.number, OWNER),
                )
            if extended.rowcount == 0:
                break
        connection.close()


database = connect()
while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    lease = Lease(task[0])
    lease.start()
    time.sleep(len(task[1]) * DELAY_S)
    lease.over.set()
    lease.join()
    print(f"done {task[1]}", flush=True)
    with database:
        database.execute(
            "UPDATE tasks SET stage = 'success' WHERE id = ? AND owner = ?", (task[0], OWNER)
        )
