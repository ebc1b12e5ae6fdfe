# misconception: 25
import os
import time
from pathlib import Path

from labs.job_queue import JobQueue

DELAY_S = float(os.environ["DELAY"])
READY = Path(os.environ["READY_DIR"])

done = set()
jobs = JobQueue.connect(os.environ["AMQP_URL"], os.environ["QUEUE"])


def work(text):
    time.sleep(len(text) * DELAY_S)
    if text.startswith("bad"):
        raise ValueError(f"nobody can deploy {text!r}")


@jobs.register_job_handler("Deployment")
def deploy(job):
    if not (READY / job["job_id"]).exists():
        return False
    if job["job_id"] not in done:
        work(job["text"])
        print(f"done {job['text']}", flush=True)
        done.add(job["job_id"])
    return True


jobs.run()
