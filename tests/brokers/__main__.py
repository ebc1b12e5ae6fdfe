"""`python -m tests.brokers`: the same tests on RabbitMQ 3.10, 4.0 and 4.3, and one table of it.

The installed version is taken as it is; the others are fetched, once. For each
version pytest runs in a process of its own, told by `LABS_RABBITMQ` whose programs
to start. A version that can't be had here is a warning; one that fails is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from labs.broker.binaries import installed
from labs.broker.state import ROOT
from labs.judge.catalogue import SLUGS
from labs.judge.scenarios import needs_rabbitmq
from tests.brokers.trees import RELEASES, CannotFetch, cache_folder, fetch, tree_of

SUITES = {
    "versions": "tests/brokers",
    "qprocessor": "tests/qprocessor",
    "notebooks": "tests/notebooks",
    "exercises": "tests/exercises/test_starters_and_solutions.py",
    "bus": "tests/job_queue/test_bus.py",
}
"""What is run on each version -> where it is."""

_JUDGED = f"{SUITES['exercises']}::test_the_starter_fails_for_its_belief_and_the_solution_passes"
LEFT_OUT = (
    "--ignore=tests/notebooks/test_format.py",
    "--ignore=tests/notebooks/test_11_request_queue.py",
    *(f"--deselect={_JUDGED}[{slug}]" for slug in SLUGS if not needs_rabbitmq(slug)),
)
"""What uses no RabbitMQ is the same on each version: `make test` runs it."""

INSTALLED = "installed"


@dataclass(frozen=True)
class Outcome:
    """What one suite came to on one version."""

    version: str
    suite: str
    passed: int
    failed: int
    skipped: int
    seconds: float


@click.command()
@click.option(
    "--only",
    "series",
    multiple=True,
    type=click.Choice([INSTALLED, *RELEASES]),
    help="Only this one; may be given again.  [default: all]",
)
@click.option(
    "--suite",
    "suites",
    multiple=True,
    type=click.Choice(list(SUITES)),
    help="Only this one; may be given again.  [default: all]",
)
@click.option(
    "--side-by-side",
    default=2,
    show_default=True,
    help="So many tests at a time, each with a broker.",
)
@click.option("--fetch-only", is_flag=True, help="Fetch the versions and run nothing.")
def main(
    series: tuple[str, ...], suites: tuple[str, ...], side_by_side: int, fetch_only: bool
) -> None:
    """Run the version table, qprocessor, notebooks, exercises and the bus on several RabbitMQs."""
    console = Console(stderr=True)
    outcomes: list[Outcome] = []
    unhad: dict[str, str] = {}
    chosen = suites or tuple(SUITES)
    for one in series or (INSTALLED, *RELEASES):
        try:
            version, programs = programs_of(one, console)
        except CannotFetch as error:
            unhad[one] = f"{error} {error.remedy}".strip()
            console.print(f"[yellow]Warning:[/] RabbitMQ {one}: {unhad[one]}", highlight=False)
            continue
        if not fetch_only:
            console.rule(f"RabbitMQ {version}")
            outcomes += run(version, programs, chosen, side_by_side)
    if fetch_only:
        return
    show(outcomes, unhad)
    ran = {outcome.version for outcome in outcomes if outcome.passed or outcome.failed}
    if any(outcome.failed for outcome in outcomes) or not ran:
        sys.exit(1)


def programs_of(series: str, console: Console) -> tuple[str, Path]:
    """A version and the folder of its programs.

    Raises:
        CannotFetch: it can't be had here.
    """
    if series == INSTALLED:
        found = installed()
        if found is None:
            raise CannotFetch("No rabbitmq-server is installed.")
        return found.version, found.folder
    tree = tree_of(series, cache_folder())
    fetch(tree, console.print)
    return tree.binaries.version, tree.binaries.folder


def run(
    version: str, programs: Path, suites: tuple[str, ...], side_by_side: int
) -> Iterator[Outcome]:
    """Run the suites on this version, pytest's own words shown as they come."""
    places = [SUITES[name] for name in suites]
    how = ("-q", f"--numprocesses={side_by_side}", "--no-loadscope-reorder", *LEFT_OUT)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", f"--junitxml={report}", *how, *places],
            cwd=ROOT,
            env=_environment(programs),
            check=False,
        )
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []  # noqa: S314
    for name in suites:
        module = SUITES[name].removesuffix(".py").replace("/", ".")
        own = [case for case in cases if f"{case.get('classname')}.".startswith(f"{module}.")]
        results = Counter(_result(case) for case in own)
        yield Outcome(
            version=version,
            suite=name,
            passed=results["passed"],
            # pytest can fail without a test that did: then no suite of it counts as good.
            failed=results["failed"] or int(ended.returncode not in (0, 1)),
            skipped=results["skipped"],
            seconds=sum(float(case.get("time", 0)) for case in own),
        )


def _environment(programs: Path) -> dict[str, str]:
    another = ("AMQP_URL", "LABS_TEST_BROKER_URL", "LABS_TEST_MANAGEMENT_URL")
    kept = {name: text for name, text in os.environ.items() if name not in another}
    return kept | {"LABS_RABBITMQ": str(programs)}


def _result(case: ET.Element) -> str:
    tags = {child.tag for child in case}
    if tags & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in tags else "passed"


def show(outcomes: list[Outcome], unhad: dict[str, str]) -> None:
    """One row a version and suite; a version that could not be had says so."""
    table = Table("RabbitMQ", "suite", title="The same tests on several brokers")
    for heading in ("passed", "failed", "skipped", "seconds"):
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        table.add_row(
            outcome.version,
            outcome.suite,
            str(outcome.passed),
            f"[red]{outcome.failed}[/]" if outcome.failed else "0",
            str(outcome.skipped),
            f"{outcome.seconds:.0f}",
        )
    for series in unhad:
        table.add_row(series, "[yellow]not to be had here[/]", "", "", "", "")
    Console().print(table)


if __name__ == "__main__":
    main(prog_name="python -m tests.brokers")
