"""`python -m benchmarks.tasks`: what a put, a get and a success cost, and whether that grows.

Each store is measured at several numbers of tasks stored, always beside an empty one and by
turns: so that a machine that is busy for a while is busy for both, and what counts is the
median of the ratios within a round. The same with the peers, on one PostgreSQL of its own, and
with one, two and four workers. The tables go to a person, or JSON to a script; the exit code says
whether the goals were reached (1: not all).
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks import tasks_peers, tasks_sql
from benchmarks.tasks_subjects import Ground, Handle, Subject
from labs.errors import LabError
from labs.task_queue.local_postgres import LocalPostgres

VERBS = ("put", "get", "success")
BATCHES = tuple(f"{verb} in batches" for verb in VERBS)
OURS, BARE, SLOW = "PostgreSQL", "bare psycopg", "procrastinate"
TURNS = 10
BATCHES_A_ROUND = 2
WORKERS = (1, 2, 4)
WORKED_OFF = 3_000
"""Tasks that the workers share."""
DEFAULT_SIZES = (0, 10_000, 100_000, 1_000_000)

Rates = dict[str, dict[str, list[float]]]
"""By subject (or number stored), by verb: tasks a second, one a round."""


@dataclass(frozen=True)
class Goal:
    """What was wanted, and what came."""

    name: str
    wanted: str
    figure: float
    is_reached: bool


@dataclass
class Results:
    """All that was measured."""

    stored: dict[str, Rates]
    """By subject; in it by number stored, and of the empty one in turn with it as `empty …`."""
    beside: Rates
    """Of PostgreSQL's subjects, empty, in turn."""
    workers: dict[str, dict[int, list[float]]]
    """By subject, by workers: tasks a second, claimed and settled one at a time."""


def measure_stored(
    subject: Subject, sizes: Sequence[int], rounds: int, said: Callable[[str], None]
) -> Rates:
    """One subject at each number stored, each in turn with an empty one."""
    rates: Rates = {}
    for size in sizes:
        if size > subject.most:
            continue
        said(f"{subject.name}: {size:,} stored")
        with ExitStack() as opened:
            handles = {}
            for label, stored in (("empty", 0), ("", size)) if size else (("", 0),):
                ground = opened.enter_context(subject.ground())
                if stored:
                    ground.fill(stored)
                handles[f"{label} {size}".strip()] = open_until(opened, ground)
            rates |= in_turn({label: (subject, one) for label, one in handles.items()}, rounds)
    return rates


def measure_beside(subjects: Sequence[Subject], rounds: int) -> Rates:
    """Several subjects in turn, all empty."""
    with ExitStack() as opened:
        handles = {}
        for subject in subjects:
            ground = opened.enter_context(subject.ground())
            handles[subject.name] = (subject, open_until(opened, ground))
        return in_turn(handles, rounds)


def open_until(opened: ExitStack, ground: Ground) -> Handle:
    """A handle that is closed with the stack."""
    handle = ground.open()
    opened.callback(handle.close)
    return handle


def in_turn(handles: Mapping[str, tuple[Subject, Handle]], rounds: int) -> Rates:
    """Each handle in turn, round by round; before, one round for nothing."""
    rates: Rates = {label: {} for label in handles}
    for number in range(rounds + 1):
        for label, rate_of in one_round(handles, f"{number}").items():
            for verb, rate in rate_of.items():
                if number:
                    rates[label].setdefault(verb, []).append(rate)
    return rates


def one_round(
    handles: Mapping[str, tuple[Subject, Handle]], mark: str
) -> dict[str, dict[str, float]]:
    """Put, get and settle some tasks one by one, then in batches; the handles by turns."""
    rates: dict[str, dict[str, float]] = {label: {} for label in handles}
    for names, groups_of in ((VERBS, ones), (BATCHES, batches)):
        groups = {label: groups_of(one, mark) for label, (one, _) in handles.items()}
        claims: dict[str, list[Sequence[Any]]] = {label: [] for label in handles}
        for name, verb in zip(names, VERBS, strict=True):
            took = dict.fromkeys(handles, 0.0)
            for label, chunk in by_turns(groups):
                started = time.perf_counter()
                do(verb, handles[label][1], chunk, claims[label])
                took[label] += time.perf_counter() - started
            for label in handles:
                if many := sum(map(len, groups[label])):
                    rates[label][name] = many / took[label]
    return rates


def do(
    verb: str, handle: Handle, groups: Sequence[Sequence[str]], claims: list[Sequence[Any]]
) -> None:
    """One verb, once for each group of ids; `claims` are what is claimed and not yet settled."""
    for ids in groups:
        if verb == "put":
            handle.put(ids)
        elif verb == "success":
            handle.success(claims.pop())
        else:
            claims.append(handle.get(len(ids)))
            assert len(claims[-1]) == len(ids), f"{len(claims[-1])} of {len(ids)} were claimed"


def ones(subject: Subject, mark: str) -> list[list[str]]:
    """Ids one by one."""
    return [[f"one-{mark}-{n}"] for n in range(subject.singles)]


def batches(subject: Subject, mark: str) -> list[list[str]]:
    """Ids of a few batches, if it has any."""
    many = BATCHES_A_ROUND if subject.batch else 0
    return [[f"many-{mark}-{b}-{n}" for n in range(subject.batch)] for b in range(many)]


def by_turns(groups: Mapping[str, list[list[str]]]) -> Iterator[tuple[str, list[list[str]]]]:
    """A tenth of each one's, then the next tenth: so that a busy moment is everybody's."""
    for turn in range(TURNS):
        for label, all_of_it in groups.items():
            yield label, all_of_it[turn::TURNS]


def measure_workers(subject: Subject, rounds: int) -> dict[int, list[float]]:
    """How many tasks a second so many processes claim and settle together, one at a time."""
    rates: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    spawn = multiprocessing.get_context("spawn")
    for _ in range(rounds):
        for workers in WORKERS:
            with subject.ground() as ground:
                handle = ground.open()
                handle.put([f"shared-{n}" for n in range(WORKED_OFF)])
                handle.close()
                barrier, told = spawn.Barrier(workers), spawn.SimpleQueue()
                processes = [
                    spawn.Process(target=work_off, args=(ground, barrier, told))
                    for _ in range(workers)
                ]
                for process in processes:
                    process.start()
                spans = [told.get() for _ in processes]
                for process in processes:
                    process.join()
                took = max(end for _, _, end in spans) - min(start for _, start, _ in spans)
                assert sum(done for done, _, _ in spans) == WORKED_OFF
                rates[workers].append(WORKED_OFF / took)
    return rates


def work_off(ground: Ground, barrier: Any, told: Any) -> None:
    """Be a worker until there is nothing left; tell how many tasks, and from when to when."""
    handle = ground.open()
    barrier.wait(60)
    started, done = time.monotonic(), 0
    while claims := handle.get(1):
        handle.success(claims)
        done += 1
    told.put((done, started, time.monotonic()))
    handle.close()


# --- What came of it --------------------------------------------------------------------------


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the ratios of rounds."""
    return statistics.median(one / other for one, other in zip(above, below, strict=True))


def growth(rates: Rates, size: int, verb: str) -> float:
    """What the verb costs at this number stored, as a ratio to what it costs where none is."""
    return ratio(rates[f"empty {size}"][verb], rates[str(size)][verb])


def goals_of(results: Results) -> list[Goal]:
    """Each goal of what was measured, and whether it was reached."""
    goals = []
    for name, rates in results.stored.items():
        largest = max((int(label) for label in rates if label.isdigit()), default=0)
        if largest:
            worst = max(growth(rates, largest, verb) for verb in VERBS)
            wanted = "at most 1.5 times the cost at 0"
            goals.append(Goal(f"{name} at {largest:,}", wanted, worst, worst <= 1.5))
    if OURS in results.beside:
        ours = results.beside[OURS]
        for verb in BATCHES:
            rate = statistics.median(ours[verb])
            goals.append(Goal(f"{OURS}: {verb}", "10,000 a second", rate, rate >= 10_000))
        for peer, least in ((BARE, 0.7), (SLOW, 5.0)):
            claims = ratio(ours["get"], results.beside[peer]["get"])
            wanted = f"{least:g} of {peer}"
            goals.append(Goal(f"{OURS}: single claims", wanted, claims, claims >= least))
    for name, by_workers in results.workers.items():
        if name != BARE and (os.cpu_count() or 1) > 1:
            more = ratio(by_workers[2], by_workers[1])
            goals.append(Goal(f"{name}: two workers", "1 of one worker", more, more >= 1))
    return goals


def show(results: Results, goals: Sequence[Goal]) -> None:
    """Four tables."""
    console = Console()
    for title, verbs in (("one at a time", VERBS), ("in batches", BATCHES)):
        table = Table("store", "stored", title=f"Tasks a second, {title}; and cost beside 0 stored")
        for verb in verbs:
            table.add_column(verb.split()[0], justify="right")
            table.add_column("cost", justify="right")
        for name, rates in results.stored.items():
            for label in (label for label in rates if label.isdigit()):
                if verbs[0] in rates[label]:
                    table.add_row(name, f"{int(label):,}", *cells(rates, int(label), verbs))
        console.print(table)
    title = "Tasks a second, empty, by turns; PostgreSQL's as a ratio to the others"
    table = Table("", title=title)
    for name in results.beside:
        table.add_column(name, justify="right")
        if name != OURS:
            table.add_column("ratio", justify="right")
    for verb in (*VERBS, *BATCHES) if results.beside else ():
        row = []
        for name, rates_of in results.beside.items():
            has = verb in rates_of
            row.append(f"{statistics.median(rates_of[verb]):,.0f}" if has else "")
            if name != OURS:
                row.append(
                    f"{ratio(results.beside[OURS][verb], rates_of[verb]):.2f}" if has else ""
                )
        table.add_row(verb, *row)
    console.print(table)
    table = Table("workers", title="Tasks a second, claimed and settled one at a time")
    for workers in WORKERS:
        table.add_column(f"{workers}", justify="right")
    for name, by_workers in results.workers.items():
        table.add_row(name, *(f"{statistics.median(by_workers[n]):,.0f}" for n in WORKERS))
    console.print(table)
    table = Table("goal", "wanted", "figure", "", title="Goals")
    for goal in goals:
        verdict = "reached" if goal.is_reached else "MISSED"
        table.add_row(goal.name, goal.wanted, f"{goal.figure:,.2f}", verdict)
    console.print(table)


def cells(rates: Rates, size: int, verbs: Sequence[str]) -> list[str]:
    """The rates of one number stored, each with its growth."""
    shown = []
    for verb in verbs:
        shown.append(f"{statistics.median(rates[str(size)][verb]):,.0f}")
        shown.append(f"{growth(rates, size, verb):.2f}" if size else "")
    return shown


def machine_facts() -> dict[str, str]:
    """What the figures depend on."""
    packages = ("sqlalchemy", "psycopg", "boto3", "procrastinate")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "databases": "PostgreSQL and SQLite as they are: each commit is on the disk",
    }


def subjects_of(postgres_url: str) -> list[Subject]:
    """Our stores."""
    subjects = tasks_sql.subjects(postgres_url)
    if importlib.util.find_spec("benchmarks.tasks_s3"):
        subjects += importlib.import_module("benchmarks.tasks_s3").subjects()
    return subjects


@click.command()
@click.option("--sizes", default=",".join(map(str, DEFAULT_SIZES)), show_default=True)
@click.option("--stores", help="Only these, with commas: memory, SQLite, PostgreSQL, S3.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--url", help="A PostgreSQL to use; else a private one of its own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(sizes: str, stores: str | None, rounds: int, url: str | None, as_json: bool) -> None:
    """Measure what put, get and success cost in each store, beside others, and how it grows."""
    progress = Console(stderr=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by the way of all exceptions
    try:
        numbers = sorted({int(size) for size in sizes.split(",")})
    except ValueError:
        raise click.BadParameter(
            "numbers with commas, such as 0,10000", param_hint="--sizes"
        ) from None
    try:
        with ExitStack() as opened, progress.status("Starting") as status:
            url = url or opened.enter_context(LocalPostgres()).url
            wanted = [
                subject
                for subject in subjects_of(url)
                if not stores or subject.name in stores.split(",")
            ]
            facts = machine_facts()
            results = measure(wanted, numbers, rounds, url, status.update)
    except LabError as error:
        raise click.ClickException(f"{error} {error.remedy}") from error
    goals = goals_of(results)
    if as_json:
        told = {"facts": facts, "results": asdict(results), "goals": [asdict(g) for g in goals]}
        click.echo(json.dumps(told, indent=2))
    else:
        show(results, goals)
        for name, fact in facts.items():
            Console().print(f"{name}: {fact}", highlight=False)
    sys.exit(not all(goal.is_reached for goal in goals))


def measure(
    subjects: Sequence[Subject],
    sizes: Sequence[int],
    rounds: int,
    url: str,
    said: Callable[[str], None],
) -> Results:
    """Everything, one after the other."""
    stored = {one.name: measure_stored(one, sizes, rounds, said) for one in subjects}
    beside: Rates = {}
    workers = {}
    ours = next((one for one in subjects if one.name == OURS), None)
    peers = tasks_peers.subjects(url) if ours else []
    if ours:
        said("PostgreSQL beside others")
        beside = measure_beside([ours, *peers], rounds)
    for one in [one for one in [*subjects, *peers] if one.name in (OURS, BARE, "SQLite")]:
        said(f"{one.name}: workers")
        workers[one.name] = measure_workers(one, rounds)
    return Results(stored, beside, workers)


if __name__ == "__main__":
    main()
