"""A worker process for tests, as people write them: it knows nothing of what will strike it.

It finds the broker in AMQP_URL, the queue in QUEUE, and writes each job's id to the file
LEDGER when its handler begins. While there is a file LEDGER.hold, handlers wait.
"""

from __future__ import annotations

import os
from pathlib import Path

from labs.job_queue import JobQueue
from labs.job_queue.jobs import Job
from labs.waiting import wait_until
from tests.job_queue.queues import QUICK

LEDGER = Path(os.environ["LEDGER"])
HOLD = LEDGER.with_suffix(".hold")


def begin(job: Job) -> int:
    """Put the job on the ledger; how often it stands there."""
    with LEDGER.open("a") as ledger:
        ledger.write(f"{job['job_id']}\n")
    wait_until(lambda: not HOLD.exists(), 60, interval_s=0.01)
    return LEDGER.read_text().split().count(job["job_id"])


def done(job: Job) -> bool:
    """Done at once."""
    begin(job)
    return True


def later(job: Job) -> bool:
    """Not yet, the first time."""
    return begin(job) > 1


def fails(job: Job) -> bool:
    """Never done."""
    begin(job)
    raise ValueError("as it was meant to")


HANDLERS = {"done": done, "later": later, "fails": fails}

if __name__ == "__main__":
    jobs = JobQueue.connect(os.environ["AMQP_URL"], os.environ["QUEUE"], workers=2, **QUICK)
    for job_type, handler in HANDLERS.items():
        jobs.register_job_handler(job_type, handler)
    jobs.run()
