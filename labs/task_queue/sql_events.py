"""Events in a SQL database; beside the tasks, in one transaction with their moves.

A row is an event; its key, which the same name and data give, is unique, so that what is there
already is skipped. On the engine of a `SqlQueue` the queue writes events itself, through
`add_within`, in the transaction that makes the move: there is never one without the other.
"""

# ruff: noqa: S608 - put together of our own words alone; what others say is a parameter

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from sqlalchemy import Engine

from labs.errors import WaitedTooLong
from labs.task_queue.events import Event, EventStore
from labs.task_queue.sql_database import Database, Session
from labs.task_queue.sql_schema import SCHEMA
from labs.task_queue.sql_text import POSTGRESQL, SQLITE
from labs.task_queue.sql_values import escaped, plain, time_of
from labs.waiting import wait_until

BEGINNING = -60e9
"""Seconds since 1970: before all events."""
PATIENCE_S = 1.0
"""So long a reader waits for those who write. What one who is still at it may write, and all that
is later, is not shown yet."""
LOOK_EVERY_S = 0.002

TAG = 1_613
"""Of our advisory locks: what stands in them above the microseconds since 1970, 52 bits."""
NOW = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
MAY_COME = f"SELECT pg_advisory_xact_lock_shared((CAST({TAG} AS bigint) << 52) | ({NOW}))"
LAST = """SELECT coalesce(
    pg_sequence_last_value(pg_get_serial_sequence('lab_task_events', 'seq')), 0)"""
EARLIEST = f"""SELECT min(key) & ((CAST(1 AS bigint) << 52) - 1)
    FROM (SELECT (CAST(classid AS bigint) << 32) | CAST(objid AS bigint) AS key FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS held
    WHERE key >> 52 = {TAG}"""
AT = "timestamptz 'epoch' + CAST(:{} AS bigint) * interval '1 microsecond'"
COMPLETE = f" AND time < {AT.format('earliest')} AND (time < {AT.format('now')} OR seq <= :last)"
NONE_OPEN = 2**52


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
            WHERE name = :name AND time > {since} {COMPLETE if dialect.locked else ""}
            ORDER BY time, seq"""
        )

    @classmethod
    def connect(cls, url: str) -> SqlEventStore:
        """Open the store at a URL; see `SqlQueue.connect`."""
        return cls(Database.at(url))

    def begin_within(self, session: Session) -> None:
        """Say, in a transaction that will add events, that they come: before the first move."""
        if self.database.name == "postgresql":
            session.run(MAY_COME, {})

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
            if self.database.name == "postgresql":
                params |= _complete_until(session)
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


def _complete_until(session: Session) -> dict[str, int]:
    """How far what is stored is complete: nothing earlier can come any more.

    Who begins to write after the look has later events; they have higher numbers too, by which
    they are told from those that are late by another machine's clock, and were there before.
    """
    until: dict[str, int] = {}

    def look() -> bool:
        # In this order: what is not seen in the last look began after the two before it.
        ((until["last"],),) = session.run(LAST, {})
        ((until["now"],),) = session.run(NOW, {})
        ((earliest,),) = session.run(EARLIEST, {})
        until["earliest"] = NONE_OPEN if earliest is None else earliest
        return bool(until["earliest"] > came)

    ((came,),) = session.run(NOW, {})
    with suppress(WaitedTooLong):  # else all who wrote when we came are done
        wait_until(look, PATIENCE_S, interval_s=LOOK_EVERY_S)
    return until


def sql_event_store(engine: Engine) -> SqlEventStore:
    """The events in the engine's database."""
    return SqlEventStore(engine)
