"""A worker, one of two, with a handler for deployments. Some are not ready yet, so it waits."""

import os
import time
from pathlib import Path

from labs.job_queue import JobQueue

DELAY_S = float(os.environ["DELAY"])
READY = Path(os.environ["READY_DIR"])

jobs = JobQueue.connect(os.environ["AMQP_URL"], os.environ["QUEUE"])


def work(text):
    time.sleep(len(text) * DELAY_S)
    if text.startswith("bad"):
        raise ValueError(f"nobody can deploy {text!r}")


@jobs.register_job_handler("Deployment")
def deploy(job):
    while not (READY / job["job_id"]).exists():
        time.sleep(0.1)
    work(job["text"])
    print(f"done {job['text']}", flush=True)
    return True


jobs.run()
