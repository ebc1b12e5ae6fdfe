"""The runs: a filled queue, one consumer process, its rate; all consumers in turn, in rounds.

In each round every consumer runs once, one after the other, so that a machine that
is busy for a while is busy for all. What counts is the median over the rounds of
the rate, and of the ratio to the bare pika loop of the same round.
"""

from __future__ import annotations

import json
import secrets
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika

from benchmarks import consumers
from labs.broker.address import Address
from labs.broker.connection import connected, count
from labs.waiting import wait_until

ROOT = Path(__file__).parent.parent
BARE, OURS = "bare pika loop", "qprocessor"
BODY = b"hello world!"


@dataclass(frozen=True)
class Setting:
    """How messages are consumed, and how many in one run."""

    name: str
    acknowledge: bool
    prefetch: int
    messages: int
    consumers: tuple[str, ...]
    goal: float
    """What qprocessor should reach: its rate as a ratio to the bare loop's."""


LIBRARIES = ("kombu", "aio-pika")
SETTINGS = (
    Setting("auto_ack", False, 0, 40_000, LIBRARIES, 0.9),
    # Not Celery: at this setting it came to 0.5 of the bare loop in one run, to 0.01 in the next.
    Setting("ack, prefetch 1", True, 1, 3_000, (*LIBRARIES, "Dramatiq"), 0.9),
    Setting("ack, prefetch 100", True, 100, 5_000, (*LIBRARIES, "Celery", "Dramatiq"), 1.2),
    Setting("ack, no limit", True, 0, 5_000, LIBRARIES, 0.9),
)


@dataclass(frozen=True)
class Result:
    """One consumer at one setting: its rate in messages a second and its ratio to the bare loop."""

    setting: str
    consumer: str
    rate: float
    ratio: float
    ratios: tuple[float, ...]
    """One a round, in order."""


def measure(address: Address, *, rounds: int, said: Callable[[str], None]) -> Iterator[Result]:
    """Measure all consumers at all settings."""
    for setting in SETTINGS:
        names = (BARE, OURS, *setting.consumers)
        rates: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            for name in names:
                said(f"{setting.name}: {name}, round {number + 1} of {rounds}")
                rates[name].append(run_once(address, setting, name))
        for name in names:
            ratios = tuple(mine / bare for mine, bare in zip(rates[name], rates[BARE], strict=True))
            yield Result(
                setting.name,
                name,
                statistics.median(rates[name]),
                statistics.median(ratios),
                ratios,
            )


def run_once(address: Address, setting: Setting, consumer: str) -> float:
    """Fill a fresh queue, let one consumer empty it, and return its rate."""
    queue, messages = f"bench-{secrets.token_hex(4)}", setting.messages
    with connected(address, timeout_s=30) as connection:
        channel = connection.channel()
        properties, body = prepare(address, channel, consumer, queue)
        for _ in range(messages):
            channel.basic_publish("", queue, body, properties)

        def is_full() -> bool:
            found = count(channel, queue)
            return found is not None and found.ready == messages

        wait_until(is_full, 120, what="the queue to fill")
    if consumer == OURS:
        rate = rate_of_qprocessor(address, setting, queue, messages)
    else:
        said = run(
            *("-m", "benchmarks.consumers", consumer, address.url, queue, str(messages)),
            *(str(setting.acknowledge), str(setting.prefetch)),
        )
        rate = float(said.rpartition("rate ")[2])
    with connected(address, timeout_s=30) as connection:
        connection.channel().queue_delete(queue)
    return rate


def prepare(
    address: Address, channel: Any, consumer: str, queue: str
) -> tuple[pika.BasicProperties, bytes]:
    """Make the queue; returns one message that this consumer understands."""
    if consumer not in ("Celery", "Dramatiq"):
        channel.queue_declare(queue, durable=True)
        return pika.BasicProperties(), BODY
    if consumer == "Celery":
        consumers.celery_app(address.url, queue).send_task("benchmark")
    else:
        from dramatiq import Message

        broker = consumers.dramatiq_broker(address.url)
        broker.declare_queue(queue, ensure=True)
        broker.enqueue(Message(queue, "benchmark", (), {}, {}))
    found: list[Any] = []

    def has_come() -> bool:
        found[:] = channel.basic_get(queue, auto_ack=True)
        return found[0] is not None

    wait_until(has_come, 30, what="the first task")
    return found[1], found[2]


def rate_of_qprocessor(address: Address, setting: Setting, queue: str, messages: int) -> float:
    """Let qprocessor empty the queue; its rate from its own events."""
    flags = ["--acknowledge"] if setting.acknowledge else []
    said = run(
        *("qprocessor.py", "--url", address.url, "--queue", queue, "--delay", "0", "--quiet"),
        *("--json", "--prefetch", str(setting.prefetch), "--max-messages", str(messages), *flags),
    )
    events = {event["event"]: event for event in map(json.loads, said.splitlines())}
    assert events["stopped"]["done"] == messages
    return float(messages / (events["stopped"]["time"] - events["started"]["time"]))


def run(*arguments: str) -> str:
    """Run Python with these arguments, to its end; returns what it printed."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if ended.returncode:
        shown = " ".join(part for part in arguments if "://" not in part)
        raise RuntimeError(f"{shown} failed ({ended.returncode}):\n{ended.stderr[-2000:]}")
    return ended.stdout
