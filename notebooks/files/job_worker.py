"""A replica of a job queue, as a process: it does the jobs that a file of handlers knows.

The file has a dict, HANDLERS = {"DemoJob": function}. AMQP_URL in the environment says where
the broker is. With --json each job taken in hand, and what came of it, is a line of JSON
on standard output, which is how a notebook follows several replicas. Several of these on
one queue share its jobs; SIGTERM lets one finish what it has in hand.

    AMQP_URL=amqp://… python job_worker.py --queue orders --handlers my_handlers.py
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import runpy
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import click

from labs.job_queue import Attempt, Job, JobQueue


@click.command()
@click.option("--url", envvar="AMQP_URL", required=True, help="Where the broker is.")
@click.option("--queue", required=True, help="The job queue's name.")
@click.option("--handlers", required=True, type=click.Path(exists=True), help="Their file.")
@click.option("--name", default="worker", help="What this replica calls itself.")
@click.option("--delay", default="0", help="For handlers, as DELAY in their environment.")
@click.option("--json", "as_json", is_flag=True, help="Say all as JSON, one object a line.")
def main(url: str, queue: str, handlers: str, name: str, delay: str, *, as_json: bool) -> None:
    """Do jobs until SIGTERM or Ctrl-C."""
    os.environ["DELAY"] = delay
    saying, numbers, in_hand = threading.Lock(), itertools.count(1), dict[str, int]()

    def say(event: str, **facts: object) -> None:
        line = {"event": event, "time": time.time(), "worker": name, **facts}
        with saying:
            print(json.dumps(line) if as_json else line, flush=True)

    def told(handler: Callable[[Job], bool]) -> Callable[[Job], bool]:
        @functools.wraps(handler)
        def begin(job: Job) -> bool:
            in_hand[job["job_id"]] = number = next(numbers)
            say("received", body=job["job_id"], number=number)
            return handler(job)

        return begin

    def ended(attempt: Attempt) -> None:
        facts: dict[str, Any] = {"body": attempt.job_id, "number": in_hand.pop(attempt.job_id, 0)}
        if attempt.outcome == "done":
            say("done", **facts)
        else:  # a line that is no event of a worker's own: it is shown as it is
            say(attempt.outcome, why=attempt.why, **facts)

    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    with JobQueue.connect(url, queue, workers=2, first_pause_s=0.5, observer=ended) as jobs:
        for job_type, handler in runpy.run_path(handlers)["HANDLERS"].items():
            jobs.register_job_handler(job_type, told(handler))
        jobs.start()
        say("started", queue=queue)
        asked.wait()
    say("stopped")


if __name__ == "__main__":
    main()
