import os
import time
from pathlib import Path

from labs.job_queue import JobQueue

DELAY_S = float(os.environ["DELAY"])
READY = Path(os.environ["READY_DIR"])
RECORDS = Path(os.environ["STATE_DIR"])

jobs = JobQueue.connect(os.environ["AMQP_URL"], os.environ["QUEUE"])


def work(text):
    time.sleep(len(text) * DELAY_S)
    if text.startswith("bad"):
        raise ValueError(f"nobody can deploy {text!r}")


@jobs.register_job_handler("Deployment")
def deploy(job):
    if not (READY / job["job_id"]).exists():
        return False
    record = RECORDS / job["job_id"]
    if not record.exists():
        work(job["text"])
        try:
            record.open("x").close()  # one of all handlers gets it
        except FileExistsError:
            return True
        print(f"done {job['text']}", flush=True)
    return True


jobs.run()
