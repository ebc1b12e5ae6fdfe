"""`labs kafka`: a Kafka for the lab that several programs and terminals share.

It is librdkafka's own cluster (`labs.request_queue.local` says what it can't do), as a
process that outlives the command; where it is stands in the lab's folder. It is known
by id and start time, and by a marker in its environment where the word was lost.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from labs.broker import processes
from labs.broker.files import read_json, write_private
from labs.broker.processes import ProcessId
from labs.broker.state import labs_home
from labs.cli.group import Group
from labs.cli.output import print_json
from labs.errors import BrokerFailed, BrokerMissing

MARKER = "LABS_KAFKA_HOME"
"""The process carries the lab's folder under this name in its environment."""
NOT_RUNNING = BrokerMissing.exit_code
END_WITHIN_S = 5.0


@dataclass(frozen=True)
class Kept:
    """The lab's own Kafka: where it is, and the process that it is."""

    bootstrap: str
    control: int
    pid: int
    started: float


@click.group(cls=Group)
def command() -> None:
    """Keep a Kafka for the lab, with nothing to install.

    It is the cluster that comes with the Kafka client's own library, for lessons and
    tests: real protocol, real clients, on loopback. It is no Kafka to keep work on.
    Nothing is on disk: all is gone when it ends. A partition keeps its last 5 MB or
    100,000 records, and a topic's settings (retention too) are not heeded. It knows no
    AdminClient: the kit's programs make topics through a port of its own, and who
    appends to a topic that is not there makes it with four partitions. For a real one:
    docker compose --profile kafka up.

    \b
    Examples:
      labs kafka up
      labs kafka status --json
      labs kafka down
    """


@command.command()
def up() -> None:
    """Start it, unless it runs, and say where it is. `labs down` ends it too."""
    known = kept()
    if known is None:
        known = start()
        click.echo("Ready: librdkafka's own cluster, in memory.")
    else:
        click.echo("It runs already.")
    describe(known)


@command.command()
def down() -> None:
    """End it; what is in it is gone."""
    click.echo("Stopped." if end() else "No Kafka of this lab was running.")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def status(as_json: bool) -> None:
    """Say where it is. Exit code 3: it does not run."""
    known = kept()
    if as_json:
        print_json({"running": known is not None, **(asdict(known) if known else {})})
    elif known:
        describe(known)
    else:
        click.echo("No Kafka of this lab is running. Start one with `labs kafka up`.")
    if known is None:
        click.get_current_context().exit(NOT_RUNNING)


def describe(known: Kept) -> None:
    """Print where it is, in a few lines."""
    click.echo(f"  address   {known.bootstrap}  (process {known.pid})")
    click.echo("  to stop   labs kafka down")


def kept() -> Kept | None:
    """The lab's Kafka that runs; None where there is none."""
    try:
        known = Kept(**read_json(_word()))
        lives = ProcessId(known.pid, known.started).process()
    except TypeError:
        return None
    return known if lives else None


def start() -> Kept:
    """Start one, and leave word of it.

    Raises:
        BrokerFailed: it ended before it was ready.
    """
    from labs.request_queue import local

    end()  # one that we have lost sight of
    home = _word().parent
    home.mkdir(parents=True, exist_ok=True)
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            local.command(brokers=1, parent=None),
            env=os.environ | {MARKER: str(labs_home())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout as said:
        bootstrap, control = local.first_words(said.readline())
    found = ProcessId.of(process.pid)
    if found is None:
        raise BrokerFailed("The lab's Kafka ended at once.", remedy=f"Its log is {home / 'log'}.")
    known = Kept(bootstrap, control, found.pid, found.started)
    write_private(_word(), json.dumps(asdict(known)) + "\n")
    return known


def end() -> bool:
    """End it, also one that no word is left of; False: none was running."""
    running = processes.carrying(MARKER, str(labs_home()))
    processes.end(running, timeout_s=END_WITHIN_S)
    _word().unlink(missing_ok=True)
    return bool(running)


def _word() -> Path:
    return labs_home() / "kafka" / "state.json"
