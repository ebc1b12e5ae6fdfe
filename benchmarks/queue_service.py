"""`python -m benchmarks.queue_service`: requests a second, with a token checked and all on disk.

wrk asks; the service and PostgreSQL are processes of their own on the same machine. What is asked
of a queue in which a million messages wait is asked, by turns, of an empty one: a machine that is
busy for a while is busy for both, and what counts is the median of the rounds' ratios. wrk's
connections each wait for their answer, so its latencies are those of so many busy clients. Tables
go to a person, or JSON to a script; the exit code says whether the goals were reached (1: not all).
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import count
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.queue_service_dispatch import Busy, Latency, busy, latency
from benchmarks.queue_service_ground import (
    FILLED_FROM,
    Ground,
    Login,
    instance,
    postgres_ground,
    sqlite_ground,
)
from benchmarks.queue_service_load import Load, Told, Wrk
from labs.errors import LabError
from labs.task_queue.local_postgres import LocalPostgres

LOW, HIGH, TOGETHER = 16, 64, 128
"""Clients at a time; `TOGETHER` of two processes that serve at one port, one for each core."""
START_LOW, START_HIGH = f"start, {LOW} clients", f"start, {HIGH} clients"
FRESH, SHARED = f"{START_HIGH}, each token new", f"{START_HIGH}, of 100 jobs"
JOB, STATS, ALIVE = "status of a job", "stats", "alive"
TWO = f"{TOGETHER} clients, two processes"
START_TWO, JOB_TWO = f"start, {TWO}", f"{JOB}, {TWO}"
LOOKS = {JOB: "/v1/queue/message?jobId=%d", STATS: "/v1/queue/stats", ALIVE: "/v1/status"}
LOOKS[JOB_TWO] = LOOKS[JOB]
CONNECTIONS = {START_LOW: LOW, START_TWO: TOGETHER, JOB_TWO: TOGETHER}
"""Of other loads, HIGH."""
BUILDS_A_RUN = 1_000_000_000
TOKENS = 50
FRESH_A_SECOND = 4_000
DISPATCH_WITHIN_MS = 100.0
LEAST_SHARE = 0.25
"""Of the rate at which messages are dispatched alone, while starts come at full speed."""
KNOWN = {
    "start": "39 to 55 a second, p50 270 to 650 ms",
    "POST to dispatch": "2,400 to 5,000 ms",
    "dispatch": "162 a second alone; 5 in 20 s while 708 are enqueued",
}
"""Of the service that people already use, measured on a machine like the one we build on."""

runs = count(1)


@dataclass(frozen=True)
class Figure:
    """One load on one ground, over the rounds."""

    store: str
    stored: int
    load: str
    rate: float
    p50_ms: float
    p99_ms: float
    cost: float | None
    """Beside the empty queue's in the same rounds: the median of the ratios."""


@dataclass(frozen=True)
class Goal:
    """What was wanted, and what came."""

    name: str
    wanted: str
    figure: float
    is_reached: bool


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    figures: Sequence[Figure]
    same: Latency
    """From POST to dispatch, by one instance."""
    other: Latency
    """The same, posted to one instance and claimed from another."""
    busy: Busy


def load_of(name: str) -> Load:
    """A load by its name; starts are of builds that no run before it had."""
    connections = CONNECTIONS.get(name, HIGH)
    if name in LOOKS:
        settings = {"LOOK": LOOKS[name], "FIRST": f"{FILLED_FROM}", "BUILDS": "1000"}
        return Load("look", connections, settings=settings)
    first = FILLED_FROM + next(runs) * BUILDS_A_RUN
    jobs = "100" if name == SHARED else "0"
    return Load("start", connections, settings={"FIRST": f"{first}", "JOBS": jobs})


def measure(
    wrk: Wrk, grounds: Sequence[Ground], loads: Sequence[str], rounds: int, seconds: float
) -> Iterator[Figure]:
    """Each load on each ground by turns; the first ground is what the others are compared with."""
    for name in loads:
        told: dict[int, list[Told]] = {ground.stored: [] for ground in grounds}
        for ground in grounds:
            wrk.run(load_of(name), ground.url, 1)  # for nothing
        for _ in range(rounds):
            for ground in grounds:
                told[ground.stored].append(wrk.run(load_of(name), ground.url, seconds))
        for ground in grounds:
            yield figure(ground, name, told[ground.stored], told[grounds[0].stored])


def figure(ground: Ground, name: str, told: Sequence[Told], empty: Sequence[Told]) -> Figure:
    """The medians of the rounds."""
    cost = [before.rate / one.rate for one, before in zip(told, empty, strict=True)]
    is_empty = told is empty
    return Figure(
        store=ground.store,
        stored=ground.stored,
        load=name,
        rate=statistics.median(one.rate for one in told),
        p50_ms=statistics.median(one.p50_ms for one in told),
        p99_ms=statistics.median(one.p99_ms for one in told),
        cost=None if is_empty else statistics.median(cost),
    )


def measure_all(
    wrk: Wrk,
    login: Login,
    *,
    stored: int,
    rounds: int,
    seconds: float,
    said: Callable[[str], None],
) -> Results:
    """Everything, one after the other."""
    figures: list[Figure] = []
    loads = (START_LOW, START_HIGH, JOB, STATS, ALIVE)
    with ExitStack() as opened:
        postgres = opened.enter_context(LocalPostgres())
        said("PostgreSQL, empty")
        empty = opened.enter_context(postgres_ground(postgres.url, 1_000, login))
        said(f"PostgreSQL: {stored:,} messages are enqueued")
        full = opened.enter_context(postgres_ground(postgres.url, stored, login))
        said("PostgreSQL, empty and full by turns")
        figures += measure(wrk, [empty, full], loads, rounds, seconds)
        said("PostgreSQL, dispatch beside starts")
        beside = busy(wrk, full.url, load_of(START_HIGH), seconds * 2)
        said("PostgreSQL, other starts")
        figures += measure(wrk, [empty], (SHARED,), rounds, seconds)
        fresh = login.tokens("fresh", int(FRESH_A_SECOND * seconds))
        told = wrk.run(load_of(FRESH), empty.url, seconds, tokens=fresh)
        figures.append(figure(empty, FRESH, only := [told], only))
        said("PostgreSQL, two processes at one port")
        with instance(empty.store_url, login, processes=2) as url:
            together = replace(empty, url=url)
            figures += measure(wrk, [together], (START_TWO, JOB_TWO), rounds, seconds)
        said("PostgreSQL, from POST to dispatch")
        same, other = latencies(postgres.url, login, tries=int(seconds * 20))
    with ExitStack() as opened:
        said(f"SQLite: {stored:,} messages are enqueued")
        empty = opened.enter_context(sqlite_ground(1_000, login))
        full = opened.enter_context(sqlite_ground(stored, login))
        said("SQLite, empty and full by turns")
        figures += measure(wrk, [empty, full], loads[:-1], rounds, seconds)
    return Results(figures, same, other, beside)


def latencies(postgres_url: str, login: Login, *, tries: int) -> tuple[Latency, Latency]:
    """On an idle queue: posted to the instance that is asked, and to another one."""
    token = login.tokens("one", 1).read_text().strip()
    with (
        postgres_ground(postgres_url, 0, login) as idle,
        instance(idle.store_url, login) as second,
    ):
        return latency(idle.url, idle.url, token, tries), latency(second, idle.url, token, tries)


# --- What came of it --------------------------------------------------------------------------


def goals_of(results: Results) -> list[Goal]:
    """Each goal, and whether it was reached."""
    goals = []
    for one in results.figures:
        name = f"{one.store}, {one.stored:,} waiting: {one.load}"
        if one.store == "PostgreSQL" and one.cost is None:
            least = {START_LOW: 1_000, START_TWO: 2_000, JOB_TWO: 3_000, STATS: 3_000}
            if one.load in least:
                wanted = f"{least[one.load]:,} a second"
                goals.append(Goal(name, wanted, one.rate, one.rate >= least[one.load]))
            if one.load == START_LOW:
                goals.append(Goal(name, "p99 under 50 ms", one.p99_ms, one.p99_ms < 50))
        if one.cost is not None:
            goals.append(Goal(name, "at most 1.5 times the cost", one.cost, one.cost <= 1.5))
    for name, took in (("one instance", results.same), ("another instance", results.other)):
        wanted = f"under {DISPATCH_WITHIN_MS:g} ms"
        is_reached = took.p99_ms < DISPATCH_WITHIN_MS
        goals.append(Goal(f"POST to dispatch by {name}, p99", wanted, took.p99_ms, is_reached))
    share = results.busy.beside / results.busy.alone
    wanted = f"{LEAST_SHARE:g} of its rate alone"
    goals.append(Goal("dispatch beside starts", wanted, share, share >= LEAST_SHARE))
    return goals


def show(results: Results, goals: Sequence[Goal]) -> None:
    """Four tables."""
    console = Console()
    table = Table("store", "waiting", "requests", title="Requests a second, and their latency")
    for heading in ("rate", "p50 ms", "p99 ms", "cost beside empty"):
        table.add_column(heading, justify="right")
    for one in results.figures:
        cost = "" if one.cost is None else f"{one.cost:.2f}"
        waiting = f"{one.stored:,}"
        figures = (f"{one.rate:,.0f}", f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}", cost)
        table.add_row(one.store, waiting, one.load, *figures)
    console.print(table)
    table = Table("", "p50", "p99", "most", title="From POST to dispatch on an idle queue, ms")
    for name, took in (("by one instance", results.same), ("by another", results.other)):
        shown = [f"{ms:.1f}" for ms in (took.p50_ms, took.p99_ms, took.most_ms)]
        table.add_row(name, *shown)
    console.print(table)
    table = Table("", "a second", title="Dispatch: 16 workers claim and settle one by one")
    table.add_row("alone", f"{results.busy.alone:,.0f}")
    table.add_row("beside starts at full speed", f"{results.busy.beside:,.0f}")
    table.add_row("these starts", f"{results.busy.enqueued:,.0f}")
    console.print(table)
    table = Table("goal", "wanted", "figure", "", title="Goals")
    for goal in goals:
        verdict = "reached" if goal.is_reached else "MISSED"
        table.add_row(goal.name, goal.wanted, f"{goal.figure:,.2f}", verdict)
    console.print(table)
    for name, fact in KNOWN.items():
        console.print(f"the known service, {name}: {fact}", highlight=False)


def machine_facts() -> dict[str, str]:
    """What the figures depend on."""
    packages = ("uvicorn", "uvloop", "httptools", "pyjwt", "psycopg")
    wrk = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "wrk": wrk.stdout.partition("Copyright")[0].strip(),
        "databases": "PostgreSQL and SQLite on the same machine; each commit is on the disk",
    }


@click.command()
@click.option("--waiting", type=click.IntRange(1_000), default=1_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seconds", type=click.IntRange(2), default=6, show_default=True, help="A run.")
@click.option("--quick", is_flag=True, help="A minute or two: 20,000 waiting, one round.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(waiting: int, rounds: int, seconds: int, quick: bool, as_json: bool) -> None:
    """Measure how fast the queue service answers, and whether a long queue changes that."""
    if quick:
        waiting, rounds, seconds = 20_000, 1, 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by the way of all exceptions
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bench-queue-service-") as folder,
            Console(stderr=True).status("Starting") as status,
        ):
            login = Login.make(Path(folder))
            wrk = Wrk(login.tokens("tokens", TOKENS))
            facts = machine_facts()
            results = measure_all(
                wrk, login, stored=waiting, rounds=rounds, seconds=seconds, said=status.update
            )
    except LabError as error:
        raise click.ClickException(f"{error} {error.remedy}") from error
    goals = goals_of(results)
    if as_json:
        told = {"facts": facts, "results": asdict(results), "goals": [asdict(g) for g in goals]}
        click.echo(json.dumps(told | {"known service": KNOWN}, indent=2))
    else:
        show(results, goals)
        for name, fact in facts.items():
            Console().print(f"{name}: {fact}", highlight=False)
    sys.exit(not all(goal.is_reached for goal in goals))


if __name__ == "__main__":
    main()
