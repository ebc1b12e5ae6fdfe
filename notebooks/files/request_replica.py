"""A replica of a request queue, as a process: it takes requests one at a time, and works.

The work is pretended: it takes DELAY seconds. With --json each request taken, done and
committed is a line of JSON on standard output, which is how a notebook follows several
replicas. Several of these on one queue share its partitions: each says that it has started
when it has some. SIGTERM lets one finish what it has in hand.

    python request_replica.py --bootstrap localhost:9092 --queue Orders --delay 2
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from labs.request_queue import (
    DriverSettings,
    LifecycleRequestQueueService,
    RequestEvent,
    What,
)
from labs.request_queue.kafka import KafkaLog
from labs.request_queue.kafka_consumer import KafkaConsumer
from labs.settings import load

WORDS = {What.TAKEN: "received", What.DONE: "done", What.COMMITTED: "acknowledged"}


WAITS_S = 8.0  # for partitions; then it is one too many, and has started all the same


class TellingLog(KafkaLog):
    """Kafka, and a word when its consumer has been given partitions."""

    def __init__(self, bootstrap: str, tell: Callable[[], None]) -> None:
        super().__init__(bootstrap)
        self._tell = tell

    def consumer(self, group: str, topics: Sequence[str], **callbacks: Any) -> KafkaConsumer:
        """Join the group."""
        callbacks["on_assigned"] = lambda _partitions: self._tell()
        return super().consumer(group, topics, **callbacks)


@click.command()
@click.option("--bootstrap", required=True, help="Where Kafka is: host:port.")
@click.option("--queue", required=True, help="The driver's name; topics are named after it.")
@click.option("--partitions", default=4, help="How many, if the topic is not there.")
@click.option("--name", default="replica", help="What this replica calls itself.")
@click.option("--delay", default=0.0, help="How many seconds the work takes.")
@click.option("--json", "as_json", is_flag=True, help="Say all as JSON, one object a line.")
def main(
    bootstrap: str, queue: str, partitions: int, name: str, delay: float, *, as_json: bool
) -> None:
    """Do requests until SIGTERM or Ctrl-C."""
    numbers, number, has_started = itertools.count(1), 0, threading.Lock()

    def say(event: str, **facts: object) -> None:
        line = {"event": event, "time": time.time(), "worker": name, **facts}
        print(json.dumps(line) if as_json else line, flush=True)

    def started() -> None:
        if has_started.acquire(blocking=False):  # the first time only
            say("started", queue=queue)

    def observe(event: RequestEvent) -> None:
        nonlocal number
        if event.what is What.TAKEN:
            number = next(numbers)
        place = {"partition": event.partition, "offset": event.offset, "number": number}
        say(WORDS.get(event.what, event.what), body=event.request_id or "", **place)

    def handle(_request: object) -> bool:
        time.sleep(delay)
        return True

    chosen = {
        "application.name": queue,
        "messaging.connection_address": bootstrap,
        "resource_driver.lifecycle_request_queue.topic.num_partitions": partitions,
    }
    settings = load(DriverSettings, arguments=chosen)
    service = LifecycleRequestQueueService(TellingLog(bootstrap, started), settings)
    requests = service.get_lifecycle_request_queue(name, handle, observer=observe)
    late = threading.Timer(WAITS_S, started)
    late.daemon = True
    late.start()
    requests.run()
    service.close()
    say("stopped")


if __name__ == "__main__":
    main()
