import os
import sqlite3
import time

DELAY_S = float(os.environ["DELAY"])
LEASE_S = float(os.environ["LEASE"])
OWNER = os.environ["OWNER"]

database = sqlite3.connect(os.environ["DATABASE"], timeout=10, isolation_level=None)

# The database's own clock: seconds since 1970.
LOOK = """
SELECT id, body, owner, lease_end FROM tasks WHERE stage = 'waiting'
    OR stage = 'processing' AND lease_end < (julianday('now') - 2440587.5) * 86400.0
ORDER BY id LIMIT 1
"""
CLAIM = """
UPDATE tasks SET stage = 'processing', owner = :owner,
    lease_end = (julianday('now') - 2440587.5) * 86400.0 + :lease
WHERE id = :id AND stage != 'success' AND owner IS :owner_was AND lease_end IS :lease_was
RETURNING lease_end
"""
EXTEND = """
UPDATE tasks SET lease_end = (julianday('now') - 2440587.5) * 86400.0 + :lease
WHERE id = :id AND owner = :owner AND lease_end = :end RETURNING lease_end
"""
SETTLE = """
UPDATE tasks SET stage = 'success' WHERE id = :id AND owner = :owner AND lease_end = :end
"""


def claim():
    """What was seen must still be so; what comes back names this claim: its task and its end."""
    while seen := database.execute(LOOK).fetchone():
        number, body, owner, end = seen
        values = {"id": number, "owner": OWNER, "lease": LEASE_S}
        values |= {"owner_was": owner, "lease_was": end}
        if ends := database.execute(CLAIM, values).fetchall():
            return number, body, ends[0][0]
    return None


def extended(number, end):
    """When the lease ends now; None: it is lost."""
    values = {"id": number, "owner": OWNER, "lease": LEASE_S, "end": end}
    ends = database.execute(EXTEND, values).fetchall()
    return ends[0][0] if ends else None


while True:
    task = claim()
    if task is None:
        time.sleep(0.05)
        continue
    number, body, end = task
    until = time.monotonic() + len(body) * DELAY_S
    while end and (left_s := until - time.monotonic()) > 0:
        time.sleep(min(left_s, LEASE_S / 3))
        end = extended(number, end)
    if end:
        print(f"done {body}", flush=True)
        database.execute(SETTLE, {"id": number, "owner": OWNER, "end": end})
