"""What commands print: tables and progress for people, JSON for scripts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

Progress = Callable[[str], None]


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    click.echo(json_text(value, indent=2))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON as a person can read it; half a character, which no output takes, as an escape."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()


def harmless(text: str) -> str:
    """Text of somebody else's, for a terminal: its lines, and nothing that moves or rings it."""
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)


@contextmanager
def progress() -> Iterator[Progress]:
    """Tell a waiting person what is being done, on standard error, so that output stays clean.

    On a terminal the line spins and counts the seconds; elsewhere each step is a line.
    """
    import sys

    if not sys.stderr.isatty():
        yield lambda text: click.echo(f"{text} …", err=True)
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)
        yield lambda text: bar.update(task, description=text, visible=True)


def took(begun: float) -> str:
    """The seconds since `begun` (time.monotonic), for people."""
    return f"{time.monotonic() - begun:.1f} s"
