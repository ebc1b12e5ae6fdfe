"""`python -m benchmarks.jobs`: the job queue beside a bare pika loop, Celery, Dramatiq and RQ.

Two rates: jobs queued, each confirmed, and jobs handled that do nothing. In each round
every program of `benchmarks.jobs_programs` runs once, in turn, on the same broker; what
counts is the median over the rounds of the ratios within a round. The table goes to a
person, or JSON to a script; the exit code says whether the goals were reached (1: not all).
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import click
from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import machine_facts, some_broker
from benchmarks.runs import ROOT
from labs.broker import ports
from labs.errors import LabError
from labs.job_queue.bus import QueueSpec
from labs.job_queue.rabbitmq import RabbitBus
from labs.waiting import wait_until

RUN_TIMEOUT_S = 300
SIGKILLED = -9
"""How a program of several processes ends itself."""


@dataclass(frozen=True)
class Run:
    """One program: its name, the one that fills its queue, and how many jobs in one run."""

    name: str
    jobs: int
    filled_by: str = ""


RUNS = (
    Run("queue ours", 2_000),
    Run("queue ours in batches", 10_000),
    Run("queue bare pika", 2_000),
    Run("queue Dramatiq", 2_000),
    Run("queue Celery", 2_000),
    Run("queue RQ", 1_000),
    Run("work ours", 10_000, "queue ours in batches"),
    Run("work bare pika", 5_000, "queue bare pika"),
    Run("work Dramatiq", 3_000, "queue Dramatiq"),
    Run("work Celery solo", 2_000, "queue Celery"),
    Run("work Celery prefork", 2_000, "queue Celery"),
    Run("work RQ", 200, "queue RQ"),
)


@dataclass(frozen=True)
class Goal:
    """What our rate should be at least, as a ratio to another's of the same round."""

    mine: str
    other: str
    ratio: float


GOALS = (
    Goal("queue ours", "queue Dramatiq", 1.2),
    Goal("queue ours in batches", "queue Dramatiq", 10.0),
    Goal("work ours", "work bare pika", 0.7),
    Goal("work ours", "work Dramatiq", 1.5),
    Goal("work ours", "work Celery solo", 2.0),
    Goal("work ours", "work Celery prefork", 2.0),
)


@dataclass(frozen=True)
class Reached:
    """A goal, and what came of it."""

    goal: Goal
    ratio: float
    ratios: tuple[float, ...]

    @property
    def is_reached(self) -> bool:
        """Whether the median ratio is that of the goal, or better."""
        return self.ratio >= self.goal.ratio


Rates = dict[str, list[float]]


def measure(url: str, redis_url: str, *, rounds: int, said: Callable[[str], None]) -> Rates:
    """Run all programs in turn, in rounds; jobs a second of each, one a round."""
    runs = [run for run in RUNS if redis_url or not run.name.endswith("RQ")]
    rates: Rates = {run.name: [] for run in runs}
    for number in range(rounds):
        for run in runs:
            said(f"{run.name}, round {number + 1} of {rounds}")
            where = redis_url if run.name.endswith("RQ") else url
            rates[run.name].append(run_once(where, run))
    return rates


def run_once(url: str, run: Run) -> float:
    """One program on a fresh queue, filled if need be; its rate."""
    name = f"bench-{secrets.token_hex(4)}"
    try:
        if run.filled_by:
            # All but RQ's queue some more, before they are measured.
            program(run.filled_by, url, name, run.jobs)
        return program(run.name, url, name, run.jobs)
    finally:
        if url.startswith("amqp"):
            clear(url, name)


def program(name: str, url: str, queue: str, jobs: int) -> float:
    """Run one program to its end, in a process group of its own; what it printed as its rate."""
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.jobs_programs", name, queue, str(jobs)],
        cwd=ROOT,
        env={**os.environ, "BENCH_URL": url, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        start_new_session=True,
        check=False,
    )
    if ended.returncode not in (0, SIGKILLED) or "rate " not in ended.stdout:
        raise RuntimeError(f"{name} failed ({ended.returncode}):\n{ended.stderr[-2000:]}")
    return float(ended.stdout.rpartition("rate ")[2])


def clear(url: str, name: str) -> None:
    """Delete all queues that any of the programs makes for this name."""
    bus = RabbitBus(url, patience_s=30)
    for end in ("", ".slow", ".failed", ".DQ", ".XQ"):
        bus.delete(name + end)
    bus.close()


@contextmanager
def some_redis() -> Iterator[str]:
    """A Redis of our own, on loopback, for as long as this lasts; empty where there is none."""
    port = ports.free_port()
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        try:
            server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        except FileNotFoundError:
            yield ""
            return
        try:
            wait_until(lambda: not ports.is_free(port), 20, what="the Redis")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


def goals_of(rates: Rates) -> list[Reached]:
    """Each goal, and whether it was reached."""
    reached = []
    for goal in GOALS:
        both = zip(rates[goal.mine], rates[goal.other], strict=True)
        ratios = tuple(mine / other for mine, other in both)
        reached.append(Reached(goal, statistics.median(ratios), ratios))
    return reached


def show(rates: Rates, reached: list[Reached]) -> None:
    """Two tables: the rates, and the goals."""
    console = Console()
    table = Table("program", title="Jobs a second, median of the rounds")
    for heading in ("rate", "low", "high"):
        table.add_column(heading, justify="right")
    for name, of_rounds in rates.items():
        figures = (statistics.median(of_rounds), min(of_rounds), max(of_rounds))
        style = "bold" if "ours" in name else None
        table.add_row(name, *(f"{figure:,.0f}" for figure in figures), style=style)
    console.print(table)
    table = Table("ours", "beside", title="Ratios, median of the rounds")
    for heading in ("ratio", "low", "high"):
        table.add_column(heading, justify="right")
    table.add_column("goal")
    for each in reached:
        figures = (each.ratio, min(each.ratios), max(each.ratios))
        verdict = "reached" if each.is_reached else "MISSED"
        table.add_row(
            each.goal.mine,
            each.goal.other,
            *(f"{figure:.2f}" for figure in figures),
            f"{each.goal.ratio:g} {verdict}",
        )
    console.print(table)


@click.command()
@click.option("--url", envvar="AMQP_URL", help="The broker; else a private node of its own.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(url: str | None, rounds: int, as_json: bool) -> None:
    """Measure how fast jobs are queued and handled, beside a bare pika loop and the frameworks."""
    progress = Console(stderr=True)
    # Asked to end, it leaves by the way of all exceptions, which stops the node and the Redis.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with (
            some_broker(url) as address,
            some_redis() as redis_url,
            progress.status("Starting") as status,
        ):
            facts = machine_facts(address)
            check_that_it_works(address.url)
            rates = measure(address.url, redis_url, rounds=rounds, said=status.update)
    except LabError as error:
        raise click.ClickException(f"{error} {error.remedy}") from error
    if not redis_url:
        progress.print("There is no redis-server here: RQ was left out.")
    reached = goals_of(rates)
    if as_json:
        shown = [asdict(each) | {"is_reached": each.is_reached} for each in reached]
        click.echo(json.dumps({"facts": facts, "rates": rates, "goals": shown}, indent=2))
    else:
        show(rates, reached)
        for name, fact in facts.items():
            Console().print(f"{name}: {fact}", highlight=False)
    sys.exit(not all(each.is_reached for each in reached))


def check_that_it_works(url: str) -> None:
    """Fail early, with a sentence, where no queue can be made."""
    bus, name = RabbitBus(url, patience_s=30), f"bench-{secrets.token_hex(4)}"
    bus.declare(QueueSpec(name))
    bus.delete(name)
    bus.close()


if __name__ == "__main__":
    main()
