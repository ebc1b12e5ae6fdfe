"""A worker of a queue service, as a process: it claims builds, works on them, and settles them.

The work is pretended: it takes as many seconds as the build's own `workS` says, else DELAY. A
claim waits on the service until there is a build (a long poll), and its lease is extended while
the work goes on. With --json each build received, done or lost is a line of JSON on standard
output, which is how a notebook follows several workers. SIGTERM lets one finish what it has in
hand.

    python build_worker.py --url http://127.0.0.1:8002 --name alice --lease 10
"""

from __future__ import annotations

import itertools
import json
import time

import click

from labs.queue_service.client import QueueServiceClient
from labs.stopping import Stop, signals_stop
from labs.task_queue.errors import ClaimLost, StoreUnreachable

POLL_S = 0.5


@click.command()
@click.option("--url", required=True, help="Where an instance of the service is.")
@click.option("--queue", default="", help="The build cluster whose builds it claims.")
@click.option("--name", default="worker", help="What this worker calls itself: the owner.")
@click.option("--lease", default=10.0, help="For how many seconds it claims.")
@click.option("--delay", default=0.0, help="How many seconds the work on one takes.")
@click.option("--json", "as_json", is_flag=True, help="Say all as JSON, one object a line.")
def main(url: str, queue: str, name: str, lease: float, delay: float, *, as_json: bool) -> None:
    """Work on builds until SIGTERM or Ctrl-C."""
    numbers, stop = itertools.count(1), Stop()

    def say(event: str, **facts: object) -> None:
        line = {"event": event, "time": time.time(), "worker": name, **facts}
        print(json.dumps(line) if as_json else line, flush=True)

    with QueueServiceClient(url) as client, signals_stop(stop.want):
        say("started", queue=queue)
        for work in client.claims(
            name, lease_s=lease, cluster=queue, wait_s=POLL_S, wanted=lambda: not stop.wanted
        ):
            attempt = work.claimed.attempt
            facts = {"body": work.id, "number": next(numbers), "attempt": attempt}
            say("received", redelivered=attempt > 1, **facts)
            try:
                with work:
                    said = work.body.get("workS")
                    work_s = said if isinstance(said, int | float) else delay
                    time.sleep(work_s)
                    work.result = f"by {name}"
            except (ClaimLost, StoreUnreachable) as error:
                say("lost", reason=str(error), **facts)
            else:
                say("done", work_s=work_s, **facts)
    say("stopped")


if __name__ == "__main__":
    main()
