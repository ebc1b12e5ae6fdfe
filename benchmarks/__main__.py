"""`make bench`: qprocessor beside a bare pika loop, and beside the frameworks, as ratios.

All run on one broker, in turn. Without `--url` (or AMQP_URL) that is a private node
of their own, in a folder that is removed afterwards. The table goes to a person, or
JSON to a script; the exit code says whether qprocessor reached its goals (1: it did not).
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.runs import OURS, SETTINGS, Result, measure
from labs.broker.address import Address, parse_amqp_url
from labs.broker.connection import log_in
from labs.broker.node import PrivateNode
from labs.errors import LabError


@contextmanager
def some_broker(url: str | None) -> Iterator[Address]:
    """The broker at the URL, or a private node for as long as this lasts."""
    if url:
        yield parse_amqp_url(url)
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        node = PrivateNode(Path(folder) / "node")
        try:
            yield node.start()
        finally:
            node.wipe()


def machine_facts(address: Address) -> dict[str, str]:
    """What the figures depend on."""
    packages = ("pika", "kombu", "aio-pika", "celery", "dramatiq")
    return {
        "broker": f"RabbitMQ {log_in(address).version}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
    }


def goals() -> dict[str, float]:
    """What qprocessor should reach at each setting, as a ratio to the bare loop."""
    return {setting.name: setting.goal for setting in SETTINGS}


def table_of(results: list[Result]) -> Table:
    """The results as people read them."""
    table = Table(title="Messages a second, and beside a bare pika loop")
    for heading in ("setting", "consumer"):
        table.add_column(heading, no_wrap=True)
    for heading in ("rate", "ratio", "low", "high"):
        table.add_column(heading, justify="right")
    table.add_column("goal", no_wrap=True)
    for index, result in enumerate(results):
        mine, goal = result.consumer == OURS, goals()[result.setting]
        first = index == 0 or results[index - 1].setting != result.setting
        table.add_row(
            result.setting if first else "",
            result.consumer,
            f"{result.rate:,.0f}",
            f"{result.ratio:.2f}",
            f"{min(result.ratios):.2f}",
            f"{max(result.ratios):.2f}",
            f"{goal:g} {'reached' if result.ratio >= goal else 'MISSED'}" if mine else "",
            style="bold" if mine else None,
            end_section=result is results[-1] or results[index + 1].setting != result.setting,
        )
    return table


@click.command()
@click.option("--url", envvar="AMQP_URL", help="The broker; else a private node of its own.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(url: str | None, rounds: int, as_json: bool) -> None:
    """Measure how fast qprocessor consumes, beside a bare pika loop and the frameworks."""
    progress = Console(stderr=True)
    # Asked to end, it leaves by the way of all exceptions, which stops the node.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with some_broker(url) as address, progress.status("Starting") as status:
            facts = machine_facts(address)
            results = list(measure(address, rounds=rounds, said=status.update))
    except LabError as error:
        raise click.ClickException(f"{error} {error.remedy}") from error
    if as_json:
        shown = [asdict(result) | {"goal": goals()[result.setting]} for result in results]
        click.echo(json.dumps({"facts": facts, "rounds": rounds, "results": shown}, indent=2))
    else:
        console = Console()
        console.print(table_of(results), no_wrap=True, crop=False, overflow="ignore")
        for name, fact in facts.items():
            console.print(f"{name}: {fact}", highlight=False)
    ours = [result for result in results if result.consumer == OURS]
    sys.exit(any(result.ratio < goals()[result.setting] for result in ours))


if __name__ == "__main__":
    main()
