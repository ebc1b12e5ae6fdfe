"""Tables that make themselves, and bring themselves up to date.

A `Schema` has versions, each the statements that lead to it from the one before; the database
remembers in a table which one it has. Whoever opens a queue brings the tables up to date, alone
(an advisory lock on PostgreSQL, `BEGIN IMMEDIATE` on SQLite), in one transaction. Why not
alembic: a queue must make its tables at any first use, in anybody's database and out of any of
many processes; a list and a number do that, with no files to ship, no configuration to find, and
no second table of versions beside that of the host application.
"""

# ruff: noqa: S608 - put together of our own words alone

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labs.task_queue.errors import StoreUnfit
from labs.task_queue.sql_database import Database, Session


@dataclass(frozen=True)
class Schema:
    """The versions of some tables."""

    owner: str
    """Whose they are, in sentences: `The task queue`."""
    table: str
    """Which remembers the version."""
    lock: int
    """Of PostgreSQL's advisory locks, its own."""
    steps: Mapping[str, Sequence[Sequence[str]]]
    """By database: the statements of version 1, of version 2, …; what was published stays."""

    def prepare(self, database: Database) -> None:
        """Bring the tables up to date, unless they are.

        Raises:
            StoreUnfit: they are of a later version than this code, or may not be made.
            StoreUnreachable: the database does not answer.
        """
        steps = self.steps[database.name]
        with database.session() as session:
            if session.has_table(self.table) and self._version(session) == len(steps):
                return
        database.prepare_file()
        with database.session(transaction=True) as session:
            if database.name == "postgresql":
                session.run(f"SELECT pg_advisory_xact_lock({self.lock})", {})
            session.run(f"CREATE TABLE IF NOT EXISTS {self.table} (version integer NOT NULL)", {})
            version = self._version(session)
            if version > len(steps):
                raise StoreUnfit(
                    f"{self.owner}'s tables in {database.place} are of version {version}; this "
                    f"program knows versions up to {len(steps)}.",
                    remedy="Update this program: the tables were made by a newer one.",
                )
            for statements in steps[version:]:
                for statement in statements:
                    session.run(statement, {})
            session.run(f"DELETE FROM {self.table}", {})
            session.run(f"INSERT INTO {self.table} VALUES ({len(steps):d})", {})

    def _version(self, session: Session) -> int:
        rows = session.run(f"SELECT version FROM {self.table}", {})
        return int(rows[0][0]) if rows else 0
