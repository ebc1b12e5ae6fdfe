"""One of several copies that take tasks from a table, each with a lease that it extends.

A thread extends the lease while the main one works. Every statement about the task asks whether
its owner is still this copy: who stood still for too long changes nothing any more.
"""

import os
import sqlite3
import sys
import time
from contextlib import closing, contextmanager
from threading import Event, Thread

DELAY_S = float(os.environ["DELAY"])
LEASE_S = float(os.environ["LEASE"])
OWNER = os.environ["OWNER"]

CLAIM = """
UPDATE tasks SET stage = 'processing', owner = :owner, lease_end = :now + :lease
WHERE id = (
    SELECT id FROM tasks
    WHERE stage = 'waiting' OR stage = 'processing' AND lease_end < :now
    ORDER BY id LIMIT 1
)
RETURNING id, body
"""
EXTEND = """
UPDATE tasks SET lease_end = ? WHERE id = ? AND owner = ? AND stage = 'processing'
"""
SETTLE = """
UPDATE tasks SET stage = 'success' WHERE id = ? AND owner = ? AND stage = 'processing'
"""


def connect():
    return sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)


def claim():
    """A task that is ours now, as (id, body); None: there is none."""
    values = {"owner": OWNER, "now": time.time(), "lease": LEASE_S}
    tasks = database.execute(CLAIM, values).fetchall()
    return tasks[0] if tasks else None


def extend(number, over):
    """Extend the lease every third of it, until the work is over or the task is another's."""
    with closing(connect()) as connection:  # one of its own: two threads don't share one
        while not over.wait(LEASE_S / 3):
            end = time.time() + LEASE_S
            if not connection.execute(EXTEND, (end, number, OWNER)).rowcount:
                return


@contextmanager
def leased(number):
    """While this lasts, so does the lease."""
    over = Event()
    thread = Thread(target=extend, args=(number, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


database = connect()
while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    number, body = task
    with leased(number):
        time.sleep(len(body) * DELAY_S)
    print(f"done {body}", flush=True)
    if not database.execute(SETTLE, (number, OWNER)).rowcount:
        print(f"{body!r} is another's by now", file=sys.stderr)
