"""Where a trial on a task table runs: a SQLite database of its own, whose rows tell of themselves.

Who speaks to a database is not watched on any wire. The judge puts triggers on the
table: each change of a row is written down by the very statement that makes it, with
its time. SQLite lets one write at a time, so that their order is exact. The database
is in WAL mode: whoever reads, as the judge does all the time, never makes a writer
wait. A `TableGround` makes it, puts tasks into it, reads what changed, and can hold the
write lock for a while, as any other program that writes to the same database may.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from labs.errors import LabError

SCHEMA = """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    stage TEXT NOT NULL DEFAULT 'waiting' CHECK (stage IN ('waiting', 'processing', 'success')),
    owner TEXT,
    lease_end REAL
);
CREATE INDEX tasks_by_stage ON tasks (stage, id);
CREATE TABLE tasks_changed (
    n INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, what TEXT, id INTEGER,
    stage_was TEXT, stage TEXT, owner_was TEXT, owner TEXT, lease_was, lease
);
"""
TRIGGER = """
CREATE TRIGGER tasks_{what} AFTER {what} ON tasks BEGIN
    INSERT INTO tasks_changed (at, what, id, stage_was, stage, owner_was, owner, lease_was, lease)
    VALUES (
        (julianday('now') - 2440587.5) * 86400.0, '{what}', {row}.id,
        {was_stage}, {stage}, {was_owner}, {owner}, {was_lease_end}, {lease_end}
    );
END;
"""
TRIGGERS = {"insert": (False, True), "update": (True, True), "delete": (True, False)}
"""Whether a row was there before such a change, and after it."""
NEW = ("waiting", None, None)
LONG_AGO_S = 60.0
PATIENCE_S = 10.0
"""So long the judge itself waits for its turn to write."""
READ = (
    "SELECT n, at, what, id, stage_was, stage, owner_was, owner, lease_was, lease "
    "FROM tasks_changed WHERE n > ? ORDER BY n"
)


class NotWritable(LabError):
    """Raised when the judge's own turn to write does not come: somebody holds the database."""


@dataclass(frozen=True)
class Row:
    """One change of a task's row, as its trigger wrote it down."""

    n: int
    at: float
    """When, in seconds since 1970."""
    what: str
    """`insert`, `update` or `delete`."""
    task: int
    stage_was: str | None
    stage: str | None
    owner_was: object
    owner: object
    lease_was: object
    """Whatever a program put there: it is to be a number of seconds since 1970."""
    lease: object


class TableGround:
    """A context manager: entering makes the database, leaving closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._reader: sqlite3.Connection
        self._writer: sqlite3.Connection
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._reader, self._writer = (
                stack.enter_context(
                    closing(sqlite3.connect(self.path, timeout=PATIENCE_S, isolation_level=None))
                )
                for _ in range(2)
            )
            self._reader.execute("PRAGMA journal_mode = WAL")
            triggers = (_trigger(what, *there) for what, there in TRIGGERS.items())
            self._reader.executescript(SCHEMA + "".join(triggers))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def put(
        self, tasks: Sequence[tuple[int, str]], *, left_by: str = "", then_hold: bool = False
    ) -> None:
        """Put tasks into the table, all at once.

        Args:
            tasks: pairs of id and body.
            left_by: they are in work already, with this owner, and the lease has run out.
            then_hold: take the write lock again at once, before anybody else has seen them.

        Raises:
            NotWritable: somebody holds the database.
        """
        self.hold()
        state = ("processing", left_by, time.time() - LONG_AGO_S) if left_by else NEW
        self._writer.executemany(
            "INSERT INTO tasks VALUES (?, ?, ?, ?, ?)", [(*task, *state) for task in tasks]
        )
        self._writer.execute("COMMIT")
        if then_hold:
            self.hold()

    def hold(self) -> None:
        """Take the write lock: until `release` nobody else can write; all can read.

        Raises:
            NotWritable: somebody holds the database.
        """
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise NotWritable(
                f"The judge's turn to write to the table did not come in {PATIENCE_S:g} s.",
                remedy="Look at which of your transactions stays open.",
            ) from error

    def release(self) -> None:
        """Let others write again."""
        self._writer.execute("ROLLBACK")

    def is_free(self) -> bool:
        """Whether nobody holds the write lock now."""
        self._writer.execute("PRAGMA busy_timeout = 0")
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        finally:
            self._writer.execute(f"PRAGMA busy_timeout = {PATIENCE_S * 1000:.0f}")
        return True

    def changes(self) -> Sequence[Row]:
        """What has changed since the last look, in the order in which it was written."""
        rows = [Row(*row) for row in self._reader.execute(READ, (self._read,)).fetchall()]
        self._read = rows[-1].n if rows else self._read
        return rows


def _trigger(what: str, was: bool, now: bool) -> str:
    columns = ("stage", "owner", "lease_end")
    values = {f"was_{name}": f"old.{name}" if was else "NULL" for name in columns}
    values |= {name: f"new.{name}" if now else "NULL" for name in columns}
    return TRIGGER.format(what=what, row="new" if now else "old", **values)
