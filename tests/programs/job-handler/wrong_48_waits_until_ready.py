# misconception: 48
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from labs.job_queue import JobQueue

DELAY_S = float(os.environ["DELAY"])
READY = Path(os.environ["READY_DIR"])
RECORD = Path(os.environ["STATE_DIR"]) / "done.sqlite"

jobs = JobQueue.connect(os.environ["AMQP_URL"], os.environ["QUEUE"])


def work(text):
    time.sleep(len(text) * DELAY_S)
    if text.startswith("bad"):
        raise ValueError(f"nobody can deploy {text!r}")


@jobs.register_job_handler("Deployment")
def deploy(job):
    while not (READY / job["job_id"]).exists():
        time.sleep(0.1)
    with closing(sqlite3.connect(RECORD, timeout=30)) as database:
        name = (job["job_id"],)
        if not database.execute("SELECT 1 FROM done WHERE job_id = ?", name).fetchone():
            work(job["text"])
            with database:  # all of this or nothing; another handler waits here
                written = database.execute("INSERT OR IGNORE INTO done VALUES (?)", name)
                if written.rowcount:  # nobody else has done it in the meantime
                    print(f"done {job['text']}", flush=True)
    return True


with closing(sqlite3.connect(RECORD, timeout=30)) as database:
    database.execute("CREATE TABLE IF NOT EXISTS done (job_id TEXT PRIMARY KEY)")
jobs.run()
