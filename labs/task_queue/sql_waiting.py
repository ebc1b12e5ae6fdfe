"""How who has found nothing to claim waits for the next put.

On PostgreSQL it listens on a connection of its own, and says so in a row of `lab_task_queues` for
a minute ahead: a put notifies only then, for a notification makes the commits of all who notify
wait for one another. On SQLite it asks, every few milliseconds and at next to no cost, whether
the file has been written to. Nobody relies on being woken: a waiter looks by itself now and then.
"""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from labs.errors import WaitedTooLong
from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.forks import OfProcess
from labs.task_queue.sql_database import Database
from labs.waiting import wait_until

LISTENED_S = 60.0
RENEWED_S = 30.0
LOOK_S = 0.02


class Waiting:
    """The waiters of one handle; each has a connection, which goes on listening in between."""

    def __init__(self, database: Database, queue: str) -> None:
        self._database = database
        self._queue = queue
        self._channel = f"lab_tasks_{hashlib.sha256(queue.encode()).hexdigest()[:16]}"
        self._idle: OfProcess[list[_Waiter]] = OfProcess(list)
        self._lock = OfProcess(threading.Lock)
        self._announced = -LISTENED_S
        self._announce = (
            ""
            if database.name == "sqlite"
            else database.compiled(
                """INSERT INTO lab_task_queues (name, channel, listened_until)
            VALUES (:queue, :channel, statement_timestamp() + :s * interval '1 second')
            ON CONFLICT (name) DO UPDATE SET listened_until = excluded.listened_until"""
            )
        )

    def wait(self, timeout_s: float) -> None:
        """Return when something has changed, at the latest after so long."""
        with self._lock():
            idle = self._idle()
            waiter = idle.pop() if idle else None
        waiter = waiter or _Waiter(self._database.detached())
        try:
            with self._database.errors_of(waiter.connection):
                if self._database.name == "postgresql":
                    self._listen(waiter, timeout_s)
                else:
                    _watch(waiter, timeout_s)
        except StoreUnreachable:
            self.close()  # the others are gone as well
            raise
        with self._lock():
            self._idle().append(waiter)

    def close(self) -> None:
        """Close the connections."""
        with self._lock():
            idle = self._idle()
            waiters, idle[:] = list(idle), []
        for waiter in waiters:
            waiter.connection.close()

    def _listen(self, waiter: _Waiter, timeout_s: float) -> None:
        is_new = waiter.version is None
        if is_new or time.monotonic() > self._announced + RENEWED_S:
            with self._database.session() as session:
                session.run(
                    self._announce,
                    {"queue": self._queue, "channel": self._channel, "s": LISTENED_S},
                )
            self._announced = time.monotonic()
        connection = waiter.connection.dbapi_connection
        if is_new:  # what was put before it listened is to be looked for at once
            connection.execute(f"LISTEN {self._channel}")
            waiter.version = 0
            return
        for _ in connection.notifies(timeout=timeout_s, stop_after=1):
            return


@dataclass
class _Waiter:
    connection: Any
    """Of the pool, but not given back."""
    version: int | None = None
    """Of a SQLite's file when it was looked at last; None: a new one."""


def _watch(waiter: _Waiter, timeout_s: float) -> None:
    connection = waiter.connection.dbapi_connection

    def has_changed() -> bool:
        seen, waiter.version = (
            waiter.version,
            connection.execute("PRAGMA data_version").fetchone()[0],
        )
        return bool(waiter.version != seen)

    with suppress(WaitedTooLong):
        wait_until(has_changed, timeout_s, interval_s=LOOK_S)
