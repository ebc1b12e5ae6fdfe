"""A worker of a task queue, as a process: it claims tasks, works on them, and settles them.

The work is pretended: it takes DELAY seconds. With --lease it claims for so many seconds only;
without, for ever. It claims BATCH tasks at a time, and works on one after the other. With --json
each task received, done or lost is a line of JSON on standard output, which is how a notebook
follows several workers. SIGTERM lets one finish what it has in hand.

    python task_worker.py --store sqlite:///tasks.db --queue orders --lease 2 --delay 0.5
"""

from __future__ import annotations

import itertools
import json
import time
from contextlib import suppress

import click

from labs.stopping import Stop, signals_stop
from labs.task_queue.errors import ClaimLost
from labs.task_queue.events_queue import with_events
from labs.task_queue.sql import SqlQueue
from labs.task_queue.sql_events import SqlEventStore
from labs.task_queue.tasks import Claim

LOOK_S = 0.3


@click.command()
@click.option("--store", required=True, help="Where the tasks are: a URL of SQLAlchemy's.")
@click.option("--queue", required=True, help="The queue's name.")
@click.option("--name", default="worker", help="What this worker calls itself: the owner.")
@click.option("--lease", type=float, help="For how many seconds it claims.  [default: for ever]")
@click.option("--batch", default=1, help="How many tasks it claims at a time.")
@click.option("--delay", default=0.0, help="How many seconds the work on one takes.")
@click.option("--json", "as_json", is_flag=True, help="Say all as JSON, one object a line.")
def main(
    store: str,
    queue: str,
    name: str,
    lease: float | None,
    batch: int,
    delay: float,
    *,
    as_json: bool,
) -> None:
    """Work on tasks until SIGTERM or Ctrl-C."""
    numbers, stop = itertools.count(1), Stop()

    def say(event: str, **facts: object) -> None:
        line = {"event": event, "time": time.time(), "worker": name, **facts}
        print(json.dumps(line) if as_json else line, flush=True)

    def work(claim: Claim) -> None:
        facts = {"body": claim.id, "number": next(numbers)}
        say("received", redelivered=claim.attempt > 1, attempt=claim.attempt, **facts)
        time.sleep(delay)
        try:
            tasks.success(claim, result=f"by {name}")
        except ClaimLost as error:
            say("lost", reason=str(error), **facts)
        else:
            say("done", work_s=delay, **facts)

    sql = SqlQueue.connect(store, queue)
    with with_events(sql, SqlEventStore(sql.database), queue) as tasks, signals_stop(stop.want):
        say("started", queue=queue)
        while not stop.wanted:
            for claim in tasks.get(batch, lease_s=lease, owner=name, wait_s=LOOK_S):
                if not stop.wanted:
                    work(claim)
                else:  # not begun: it is for others, if they don't have it yet
                    with suppress(ClaimLost):
                        tasks.release(claim)
    say("stopped")


if __name__ == "__main__":
    main()
