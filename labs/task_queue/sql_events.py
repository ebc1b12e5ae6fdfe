"""Events in a SQL database; beside the tasks, in one transaction with their moves.

A row is an event; its key, which the same name and data give, is unique, so that what is there
already is skipped. On the engine of a `SqlQueue` the queue writes events itself, through
`add_within`, in the transaction that makes the move: there is never one without the other.
"""

# ruff: noqa: S608 - put together of our own words alone; what others say is a parameter

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine

from labs.task_queue.events import Event, EventStore
from labs.task_queue.sql_database import Database, Session
from labs.task_queue.sql_schema import SCHEMA
from labs.task_queue.sql_text import POSTGRESQL, SQLITE
from labs.task_queue.sql_values import escaped, plain, time_of

BEGINNING = -60e9
"""Seconds since 1970: before all events."""


class SqlEventStore(EventStore):
    """A handle on the events of a database; any number of processes may add."""

    def __init__(self, engine: Engine | Database) -> None:
        """Open the store; its tables are made if need be.

        Raises:
            BadInput, StoreUnreachable, StoreUnfit: as with `SqlQueue`.
        """
        self.database = engine if isinstance(engine, Database) else Database(engine)
        SCHEMA.prepare(self.database)
        dialect = POSTGRESQL if self.database.name == "postgresql" else SQLITE
        columns = dict.fromkeys(("name", "version", "data", "metadata", "key"), "text")
        self._add_them = self.database.compiled(
            f"""INSERT INTO lab_task_events (name, version, time, data, event_metadata, key)
            SELECT name, version, {dialect.time.format("time")}, {dialect.json.format("data")},
                {dialect.json.format("metadata")}, key
            FROM ({dialect.items(columns | {"time": "double precision"})}) AS v WHERE true
            ON CONFLICT (key) DO NOTHING"""
        )
        since = dialect.time.format("CAST(:since AS double precision)")
        self._get_them = self.database.compiled(
            f"""SELECT seq, name, version, time, CAST(data AS text), CAST(event_metadata AS text)
            FROM lab_task_events
            WHERE name = :name AND time > {since} ORDER BY time, seq"""
        )

    @classmethod
    def connect(cls, url: str) -> SqlEventStore:
        """Open the store at a URL; see `SqlQueue.connect`."""
        return cls(Database.at(url))

    def add_within(self, session: Session, events: Sequence[Event]) -> None:
        """Add events in a transaction that somebody else commits."""
        items = [
            {
                "name": event.name,
                "version": escaped(event.version),
                "time": event.time.timestamp(),
                "data": json.dumps(event.data),
                "metadata": json.dumps(dict(event.event_metadata)),
                "key": event.key,
            }
            for event in events
        ]
        session.run(self._add_them, {"items": json.dumps(items)})

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    def _add(self, events: Sequence[Event]) -> None:
        with self.database.session(writes=True) as session:
            self.add_within(session, events)

    def _get(self, name: str, since: datetime | None) -> list[Event]:
        params = {"name": name, "since": since.timestamp() if since else BEGINNING}
        with self.database.session() as session:
            rows = session.run(self._get_them, params)
        return [
            Event(
                name=row[1],
                version=plain(row[2]),
                data=json.loads(row[4]),
                id=row[0],
                event_metadata=json.loads(row[5]),
                time=time_of(row[3]),
            )
            for row in rows
        ]


def sql_event_store(engine: Engine) -> SqlEventStore:
    """The events in the engine's database."""
    return SqlEventStore(engine)
