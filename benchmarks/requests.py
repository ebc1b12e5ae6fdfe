"""`python -m benchmarks.requests`: the request queue beside bare confluent-kafka, as ratios.

Two rates: requests queued one by one, each acknowledged by all replicas, and requests
handled that do nothing, each committed synchronously when it is done. In each round both
run in turn on the same cluster: librdkafka's own, or the one at `--kafka`. The clock runs
from the first record to the last commit; joining the group is not counted. What counts is
the median over the rounds of the ratio within a round. The library's own cluster answers
from memory in a tenth of a millisecond, so what we add shows there at its largest.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import click
from confluent_kafka import Consumer, Producer, libversion
from rich.console import Console
from rich.table import Table

from labs.errors import LabError
from labs.request_queue import (
    DriverSettings,
    LifecycleRequestQueueService,
    RequestQueue,
    What,
    lifecycle_request,
)
from labs.request_queue.kafka import KafkaLog
from labs.request_queue.kafka_settings import COMMON, CONSUMER, LOCAL_CONSUMER, PRODUCER
from labs.request_queue.local import LocalKafka
from labs.request_queue.requests import at_the_door

T = TypeVar("T")
GIVES_UP_S = 60.0
QUEUED, HANDLED = "queued, acknowledged", "handled, committed"


@dataclass(frozen=True)
class Result:
    """One program's rate (a second, the median) and its ratios to the bare one."""

    what: str
    program: str
    rate: float
    ratios: list[float]

    @property
    def ratio(self) -> float:
        """The median."""
        return statistics.median(self.ratios)


class Ground:
    """A new queue on the cluster, with its topics made."""

    def __init__(self, bootstrap: str, *, local: bool) -> None:
        self.bootstrap = bootstrap
        self._local = local
        name = f"bench-{secrets.token_hex(4)}"
        self.settings = DriverSettings.model_validate(
            {
                "application": {"name": name},
                "resource_driver": {"lifecycle_request_queue": {"group_id": name}},
            }
        )
        self.log = KafkaLog(bootstrap)
        self.service = LifecycleRequestQueueService(self.log, self.settings)
        self.service.make_topics()

    def producer(self) -> Producer:
        """A bare producer with the same promises as ours."""
        return Producer({**COMMON, **PRODUCER, "bootstrap.servers": self.bootstrap})

    def consumer(self) -> Consumer:
        """A bare consumer with the same settings as ours."""
        names = {"bootstrap.servers": self.bootstrap, "group.id": self.settings.queue.group_id}
        local_or_not = LOCAL_CONSUMER if self._local else {}
        consumer = Consumer({**COMMON, **CONSUMER, **local_or_not, **names})
        consumer.subscribe([self.settings.topic.name])
        return consumer

    def fill(self, count: int) -> None:
        """Put so many requests there, quickly."""
        producer = self.producer()
        for _ in range(count):
            key, value = at_the_door(lifecycle_request("Start"))
            producer.produce(self.settings.topic.name, value, key)
        assert producer.flush(GIVES_UP_S) == 0


def queue_bare(ground: Ground, count: int) -> float:
    """Seconds to queue so many, by a bare producer."""
    producer = ground.producer()
    requests = [at_the_door(lifecycle_request("Start")) for _ in range(count + 1)]

    def queue(request: tuple[bytes, bytes]) -> None:
        key, value = request
        producer.produce(ground.settings.topic.name, value, key)
        assert producer.flush(GIVES_UP_S) == 0

    queue(requests.pop())  # connected, and known to the broker
    return _timed(queue, requests)


def queue_ours(ground: Ground, count: int) -> float:
    """Seconds to queue so many, by ours."""
    requests = [lifecycle_request("Start") for _ in range(count + 1)]
    ground.service.queue_lifecycle_request(requests.pop())
    return _timed(ground.service.queue_lifecycle_request, requests)


def handle_bare(ground: Ground, count: int) -> float:
    """Seconds to handle so many, by a bare consumer that commits each record."""
    ground.fill(count + 1)
    consumer = ground.consumer()

    def handle() -> bool:
        message = consumer.poll(0.2)
        if message is None or message.error():
            return False
        json.loads(message.value() or b"")
        consumer.commit(message=message, asynchronous=False)
        return True

    seconds = _all_handled(handle, count)
    consumer.close()
    return seconds


def handle_ours(ground: Ground, count: int) -> float:
    """Seconds to handle so many, by ours."""
    ground.fill(count + 1)
    queue: RequestQueue = ground.service.get_lifecycle_request_queue("bench", lambda _: True)
    seconds = _all_handled(lambda: queue.process_request() is What.DONE, count)
    queue.close()
    return seconds


PROGRAMS: dict[str, tuple[Callable[[Ground, int], float], Callable[[Ground, int], float]]] = {
    QUEUED: (queue_bare, queue_ours),
    HANDLED: (handle_bare, handle_ours),
}


def measure(bootstrap: str, *, local: bool, rounds: int, count: int) -> Iterator[Result]:
    """All rates, bare and ours in turn in each round."""
    for what, programs in PROGRAMS.items():
        rates: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for program, mine in zip(programs, rates, strict=True):
                ground = Ground(bootstrap, local=local)
                mine.append(count / program(ground, count))
                ground.log.close()
        bare, ours = rates
        yield Result(what, "bare confluent-kafka", statistics.median(bare), [1.0])
        ratios = [one / other for one, other in zip(ours, bare, strict=True)]
        yield Result(what, "request queue", statistics.median(ours), ratios)


def _timed(work: Callable[[T], object], items: Iterable[T]) -> float:
    begun = time.perf_counter()
    for item in items:
        work(item)
    return time.perf_counter() - begun


def _all_handled(handle: Callable[[], bool], count: int) -> float:
    """Handle one, then time the others."""
    _until(handle, 1)
    return _timed(lambda left: _until(handle, left), [count])


def _until(handle: Callable[[], bool], count: int) -> None:
    deadline = time.monotonic() + GIVES_UP_S
    while count:
        count -= handle()
        if time.monotonic() > deadline:
            raise click.ClickException(f"{count} requests were not handled in {GIVES_UP_S:g} s.")


def table_of(results: list[Result]) -> Table:
    """The results as people read them."""
    table = Table(title="Requests a second, and beside bare confluent-kafka")
    for heading in ("what", "program"):
        table.add_column(heading, no_wrap=True)
    for heading in ("rate", "ratio", "low", "high"):
        table.add_column(heading, justify="right")
    for result in results:
        ratios = (result.ratio, min(result.ratios), max(result.ratios))
        shown = (f"{ratio:.2f}" for ratio in ratios)
        table.add_row(result.what, result.program, f"{result.rate:,.0f}", *shown)
    return table


@click.command()
@click.option("--kafka", metavar="HOST:PORT", help="A real Kafka; else librdkafka's own cluster.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--requests", "count", type=click.IntRange(10), default=2_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(kafka: str | None, rounds: int, count: int, as_json: bool) -> None:
    """Measure how fast requests are queued and handled, beside bare confluent-kafka."""
    facts = {
        "cluster": kafka or "librdkafka's own, in memory",
        "librdkafka": libversion()[0],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
    }
    with ExitStack() as stack:
        try:
            bootstrap = kafka or stack.enter_context(LocalKafka()).bootstrap
            results = list(measure(bootstrap, local=kafka is None, rounds=rounds, count=count))
        except LabError as error:
            raise click.ClickException(f"{error} {error.remedy}") from error
    if as_json:
        shown = [
            {"what": one.what, "program": one.program, "rate": one.rate, "ratios": one.ratios}
            for one in results
        ]
        click.echo(json.dumps({"facts": facts, "rounds": rounds, "results": shown}, indent=2))
        return
    console = Console()
    console.print(table_of(results))
    for name, fact in facts.items():
        console.print(f"{name}: {fact}", highlight=False)


if __name__ == "__main__":
    main()
