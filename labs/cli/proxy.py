"""`labs proxy`: listen to what any AMQP program says to its broker."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import click

from labs.errors import BadInput, BrokerMissing
from labs.stopping import LOOK_S

if TYPE_CHECKING:
    from labs.broker.address import Address
    from labs.journal import Event, Journal
    from labs.proxy.server import Proxy

PREFERRED_PORT = 5673
DOOR = "program"
"""What the programs are called in a picture of the recording."""


@click.command()
@click.option(
    "--to", "to", metavar="URL", help="The broker; else the one that `labs status` shows."
)
@click.option(
    "--record",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep all of it here, for `labs draw FILE`.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="Listen at this port of this machine.")
@click.option("--no-bodies", is_flag=True, help="Neither show nor keep what messages say.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON.")
def command(
    to: str | None, record: Path | None, port: int | None, no_bodies: bool, as_json: bool
) -> None:
    """Listen to what any AMQP program says to its broker.

    It prints a URL. A program that connects there talks to the broker as ever, in any
    language, and you see each AMQP method that passes: → from the program, ← from the
    broker. In front stand the time, and the connection's number with the channel's
    (1.1). Heartbeats are left out. Ctrl-C ends it, and with it the connections.

    Try it with `./qprocessor.py`, with and without --acknowledge: which line is
    missing? Then draw what you recorded.

    Passwords are never shown or recorded. The whole URL, with its password, lies in
    .labs/proxy-url for as long as this runs: AMQP_URL=$(cat .labs/proxy-url).

    \b
    Examples:
      labs proxy
      labs proxy --record talk.jsonl        then: labs draw talk.jsonl
      labs proxy --to amqps://ann:secret@mq.example.org/ann --port 5700
    """
    from labs.broker.connection import log_in
    from labs.journal import Journal
    from labs.proxy.server import Proxy, Upstream

    address = broker_at(to)
    facts = log_in(address)
    events: SimpleQueue[Event] = SimpleQueue()
    upstream = Upstream(address.host, address.port, address.tls)
    # Asked to end, it leaves by the way of all exceptions, which writes out the record.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with Journal(record, keep=False, tell=events.put) as journal:
        with Proxy(upstream, journal, keep_bodies=not no_bodies) as proxy:
            here = replace(address, host="127.0.0.1", port=opened(proxy, port), tls=False)
            journal.append(
                "note",
                "listening",
                data={
                    "port": here.port,
                    "to": address.shown,
                    "broker": f"{facts.product} {facts.version}",
                },
            )
            with url_left_in(here) as file, suppress(KeyboardInterrupt):
                if not as_json:
                    greet(here, address, file)
                show(events, journal, as_json=as_json)
        if not as_json:
            click.echo(f"\n{summary(len(proxy.connections()), record)}")


def broker_at(url: str | None) -> Address:
    """The broker that is meant.

    Raises:
        BadInput: the URL is none.
        BrokerMissing: none is named, and none runs.
    """
    from labs.broker import locate

    found = locate.given(url) or locate.running()
    if found is None:
        raise BrokerMissing(
            "No broker of this lab is running.",
            remedy="Start one with `labs up`, or name one: labs proxy --to URL.",
        )
    return found.address


def opened(proxy: Proxy, port: int | None) -> int:
    """The port that the proxy listens at.

    Raises:
        BadInput: the one that was asked for is taken.
    """
    from labs.broker.ports import free_port, holder

    wanted = port or free_port([PREFERRED_PORT])
    try:
        return proxy.open(DOOR, wanted)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        by = holder(wanted)
        raise BadInput(
            f"Port {wanted} cannot be had{f': {by} has it' if by else ''}.",
            remedy="Choose another with --port, or leave --port out.",
        ) from error


@contextmanager
def url_left_in(here: Address) -> Iterator[Path]:
    """The file with the proxy's whole URL, for its owner alone, until the end."""
    from labs.broker.files import write_private
    from labs.broker.state import labs_home

    file = labs_home() / "proxy-url"
    write_private(file, f"{here.url}\n")
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def greet(here: Address, address: Address, file: Path) -> None:
    """Say where to connect."""
    with suppress(ValueError):
        file = file.relative_to(Path.cwd())
    click.echo(f"Listening to what goes to {address.shown}. Ctrl-C ends it.")
    click.echo(f"  connect to  {here.shown}")
    click.echo(f'  in a shell  export AMQP_URL="$(cat {file})"')
    click.echo()


def show(events: SimpleQueue[Event], journal: Journal, *, as_json: bool) -> None:
    """Print what passes, until interrupted."""
    from labs.proxy.words import Words

    words = Words()
    while True:
        try:
            event = events.get_nowait()
        except Empty:  # nothing is going on: a moment to write things out
            journal.flush()
            sys.stdout.flush()
            event = wait_for(events)
        line = event.to_json() if as_json else words.of(event)
        if line:
            sys.stdout.write(f"{line}\n")


def wait_for(events: SimpleQueue[Event]) -> Event:
    """The next one; a signal that another thread has heard is heeded too, a little later."""
    while True:
        with suppress(Empty):
            return events.get(timeout=LOOK_S)


def summary(connections: int, record: Path | None) -> str:
    """What there was, and what to do with it."""
    count = f"{connections} connection{'' if connections == 1 else 's'}"
    if record is None:
        return f"{count}. Another time, keep it with --record FILE and draw it with `labs draw`."
    return f"{count}, recorded in {record}. See it: labs draw {record}"
