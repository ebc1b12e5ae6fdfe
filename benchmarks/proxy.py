"""What the recording proxy costs: the rate through it, and the latency it adds, as ratios.

One pika publisher and one pika consumer with acks, each a process of its own, work side
by side, straight at the broker and through the proxy in turn; then one message at a time
goes out and comes back, by both ways in turn. The proxy records everything into a file
all the while. Run it from the checkout's root, on a broker's URL (or AMQP_URL), else on a
private node of its own:

    .venv/bin/python -m benchmarks.proxy --url amqp://…
"""

from __future__ import annotations

import json
import multiprocessing
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import click
import pika

from benchmarks.__main__ import machine_facts, some_broker
from labs.broker.address import Address, parse_amqp_url
from labs.broker.connection import connected
from labs.errors import LabError
from labs.journal import Journal
from labs.proxy.server import Proxy, Upstream

BODY = b"hello world!"
PREFETCH = 100
RATIO_GOAL, ADDED_GOAL_MS = 0.7, 0.6
WAIT_S = 120


@dataclass(frozen=True)
class Figures:
    """What was measured: medians over the rounds."""

    direct_rate: float
    """Messages a second."""
    proxy_rate: float
    ratio: float
    ratios: tuple[float, ...]
    """One a round."""
    direct_ms: float
    """One message out and back."""
    proxy_ms: float
    added_ms: float

    @property
    def reaches_goals(self) -> bool:
        """Whether the proxy is as fast as it should be."""
        return self.ratio >= RATIO_GOAL and self.added_ms <= ADDED_GOAL_MS


def publish(url: str, queue: str, messages: int, go: Pipe) -> None:
    """Publish so many, as fast as pika does, when told to go."""
    with connected(parse_amqp_url(url), timeout_s=WAIT_S) as connection:
        channel = connection.channel()
        go.recv()
        for _ in range(messages):
            channel.basic_publish("", queue, BODY, pika.BasicProperties(message_id="m"))


def consume(url: str, queue: str, messages: int, rate: Pipe) -> None:
    """Consume and acknowledge so many; send that it is ready, then the rate."""
    with connected(parse_amqp_url(url), timeout_s=WAIT_S) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        times: list[float] = []

        def on_message(channel: Any, method: Any, _properties: object, _body: bytes) -> None:
            channel.basic_ack(method.delivery_tag)
            times.append(time.perf_counter())
            if len(times) == messages:
                channel.stop_consuming()

        channel.basic_consume(queue, on_message)
        rate.send(0.0)
        channel.start_consuming()
        rate.send((messages - 1) / (times[-1] - times[0]))


def rate_of(address: Address, messages: int) -> float:
    """Messages a second from publisher to consumer, the two working side by side."""
    spawn, queue = multiprocessing.get_context("spawn"), f"bench-{secrets.token_hex(4)}"
    with connected(address, timeout_s=WAIT_S) as connection:
        connection.channel().queue_declare(queue)
    (rate, consumer_end), (go, publisher_end) = spawn.Pipe(), spawn.Pipe()
    workers = [
        spawn.Process(target=consume, args=(address.url, queue, messages, consumer_end)),
        spawn.Process(target=publish, args=(address.url, queue, messages, publisher_end)),
    ]
    for worker in workers:
        worker.start()
    try:
        rate.recv()
        go.send(True)
        if not rate.poll(WAIT_S):
            raise click.ClickException(f"{messages} messages took more than {WAIT_S} s.")
        found: float = rate.recv()
    finally:
        for worker in workers:
            worker.join(timeout=5)
            worker.kill()
        with connected(address, timeout_s=WAIT_S) as connection:
            connection.channel().queue_delete(queue)
    return found


def round_trips_ms(addresses: list[Address], messages: int) -> list[float]:
    """The median time of a message out and back, by each way; they take turns."""
    times: list[list[float]] = [[] for _ in addresses]
    with connected(addresses[0], timeout_s=WAIT_S) as one, connected(addresses[1]) as other:
        channels = [one.channel(), other.channel()]
        queues = [channel.queue_declare("", exclusive=True).method.queue for channel in channels]
        consumed = [
            channel.consume(queue, auto_ack=True)
            for channel, queue in zip(channels, queues, strict=True)
        ]
        for _ in range(messages):
            for number, (channel, queue) in enumerate(zip(channels, queues, strict=True)):
                begun = time.perf_counter()
                channel.basic_publish("", queue, BODY)
                next(consumed[number])
                times[number].append(time.perf_counter() - begun)
    return [statistics.median(each) * 1000 for each in times]


@contextmanager
def recording(address: Address, folder: Path) -> Iterator[Address]:
    """The broker by way of a proxy that records into a file of this folder."""
    upstream = Upstream(address.host, address.port, address.tls)
    with Journal(folder / "record.jsonl") as journal, Proxy(upstream, journal) as proxy:
        yield replace(address, host="127.0.0.1", port=proxy.open("A"), tls=False)


def measure(address: Address, *, rounds: int, messages: int) -> Figures:
    """Measure both, in turn."""
    rates: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(rounds):
            with recording(address, Path(folder)) as behind:
                rates.append((rate_of(address, messages), rate_of(behind, messages)))
            click.echo(f"{number + 1}. {rates[-1][0]:,.0f}, {rates[-1][1]:,.0f}", err=True)
        with recording(address, Path(folder)) as behind:
            direct_ms, proxy_ms = round_trips_ms([address, behind], 1000)
    ratios = tuple(behind / straight for straight, behind in rates)
    return Figures(
        direct_rate=statistics.median(straight for straight, _ in rates),
        proxy_rate=statistics.median(behind for _, behind in rates),
        ratio=statistics.median(ratios),
        ratios=ratios,
        direct_ms=direct_ms,
        proxy_ms=proxy_ms,
        added_ms=proxy_ms - direct_ms,
    )


@click.command()
@click.option("--url", envvar="AMQP_URL", help="The broker; else a private node of its own.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--messages", type=click.IntRange(100), default=20_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words.")
def main(url: str | None, rounds: int, messages: int, as_json: bool) -> None:
    """Measure what the recording proxy costs; the exit code says whether it is little enough."""
    try:
        with some_broker(url) as address:
            facts = machine_facts(address)
            figures = measure(address, rounds=rounds, messages=messages)
    except LabError as error:
        raise click.ClickException(f"{error} {error.remedy}") from error
    if as_json:
        click.echo(json.dumps({"facts": facts, "figures": asdict(figures)}, indent=2))
    else:
        click.echo(
            f"Rate: {figures.direct_rate:,.0f} messages a second straight, "
            f"{figures.proxy_rate:,.0f} through the proxy: {figures.ratio:.2f} of it "
            f"({min(figures.ratios):.2f} to {max(figures.ratios):.2f}; goal {RATIO_GOAL:g}).\n"
            f"Latency, one message out and back: {figures.direct_ms:.2f} ms straight, "
            f"{figures.proxy_ms:.2f} ms through the proxy: {figures.added_ms:.2f} ms more "
            f"(goal at most {ADDED_GOAL_MS:g})."
        )
        click.echo("; ".join(f"{name} {value}" for name, value in facts.items()))
    sys.exit(0 if figures.reaches_goals else 1)


if __name__ == "__main__":
    main()
