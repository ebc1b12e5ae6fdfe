"""`labs watch`: judge a program again each time that one of its files is saved.

Files are looked at three times a second: that works on every disk, shared and
mounted ones too, where the system's own notices often don't. Which files: those
that the command names, with their neighbours of the same kind; where it names
none (`cargo run`), all below the current folder.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from labs.cli.checking import COMMAND_LINE, attempt_options, judged
from labs.waiting import wait_until

INTERVAL_S = 0.3
NOT_SOURCES = frozenset({"node_modules", "__pycache__", "target", "build", "dist", "venv"})
MOST_FILES = 2000

Snapshot = dict[Path, tuple[int, int]]
"""File -> when it was changed (nanoseconds) and its size; one that is gone is left out."""


@click.command(context_settings=COMMAND_LINE)
@attempt_options
def command(exercise: str, program: tuple[str, ...], seed: str | None, name: str | None) -> None:
    """Judge your program again each time that you save it. Ctrl-C ends it.

    \b
    Example:
      labs watch acknowledgements -- python my_worker.py
    """
    while True:
        before = snapshot(files_of(program, Path.cwd()))
        judged(exercise, program, name=name, seed=seed)
        click.echo("\nWaiting for a change of your program. Ctrl-C ends this.")
        wait_for_change(program, Path.cwd(), before)
        click.echo("\n" + "─" * 60)


def files_of(program: Sequence[str], folder: Path) -> list[Path]:
    """The files whose change is a change of the program."""
    named = [folder / word for word in program if (folder / word).is_file()]
    own = [path for path in named if not os.access(path, os.X_OK) or folder in path.parents]
    if not own:
        return list(_below(folder))
    neighbours = {
        near
        for path in own
        for near in path.parent.iterdir()
        if near.is_file() and near.suffix == path.suffix
    }
    return sorted(neighbours | set(own))


def wait_for_change(program: Sequence[str], folder: Path, before: Snapshot) -> None:
    """Return once a file of the program differs from `before`, and has come to rest.

    An editor may take a file away for a moment, or write it in parts.
    """
    last = before

    def changed_and_at_rest() -> bool:
        nonlocal last
        previous, last = last, snapshot(files_of(program, folder))
        return last == previous and last != before

    wait_until(changed_and_at_rest, math.inf, what="a change", interval_s=INTERVAL_S)


def snapshot(files: Sequence[Path]) -> Snapshot:
    """How the files are now."""
    seen: Snapshot = {}
    for path in files:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        seen[path] = (status.st_mtime_ns, status.st_size)
    return seen


def _below(folder: Path) -> Iterator[Path]:
    """The files below a folder, without hidden ones and what builds leave behind."""
    found = 0
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in NOT_SOURCES)
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(where) / name
                found += 1
        if found >= MOST_FILES:
            return
