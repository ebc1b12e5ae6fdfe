"""Long polls: claims that found nothing, kept until there may be something, or they are over.

`Kept` belongs to the service's writer, which alone touches it. `Listener` is a thread that says
when to look: another instance has told (PostgreSQL's NOTIFY), or half a second has passed, for
what time brings tells nobody. It looks only while somebody waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from labs.errors import LabError
from labs.queue_service.committer import Asked
from labs.task_queue.sql_database import Database

log = logging.getLogger(__name__)

LOOK_S = 0.5
GRAIN_S = 0.25
"""So soon it sees that it is to end."""
RETRY_S = 0.5


class Kept:
    """Claims that wait, oldest first."""

    def __init__(self) -> None:
        self._until: dict[Asked, float] = {}
        self.is_closed = False
        """Nobody is to wait any more."""

    def __len__(self) -> int:
        """How many."""
        return len(self._until)

    def __contains__(self, asked: Asked) -> bool:
        """Whether this one waits."""
        return asked in self._until

    def keep(self, asked: Asked) -> None:
        """Let a claim wait as long as it wants to."""
        self._until[asked] = time.monotonic() + asked.operation.wait_s

    def of(self, clusters: Iterable[str] | None) -> list[Asked]:
        """Those for these build clusters, or all; who has gone is forgotten."""
        for asked in [one for one in self._until if one.is_gone]:
            del self._until[asked]
        if clusters is None:
            return list(self._until)
        wanted = set(clusters)
        return [one for one in self._until if one.operation.cluster in wanted]

    def let_go(self, done: Iterable[Asked]) -> None:
        """These are answered."""
        for asked in done:
            self._until.pop(asked, None)

    def over(self, unseen: Collection[str]) -> list[Asked]:
        """Those who have waited as long as they wanted.

        Args:
            unseen: build clusters in whose lines there may be something for them all the same.
        """
        now = time.monotonic()
        return [
            one
            for one, until in self._until.items()
            if self.is_closed or (until <= now and one.operation.cluster not in unseen)
        ]


class Listener:
    """The thread that calls `look` when there may be something to claim."""

    def __init__(
        self, database: Database, channel: str, own: str, look: Callable[[], None]
    ) -> None:
        """Start it.

        Args:
            own: the name under which this instance tells; what it tells itself is no news.
        """
        self._database, self._channel, self._own, self._look = database, channel, own, look
        self._next = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="queue-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self._database.name == "postgresql":
                    self._listen()
                else:
                    self._closing.wait(GRAIN_S)
                    self._look_now_and_then()
            except LabError as error:
                log.warning("Listening to other instances: %s", error)
                self._look()  # whoever waits hears that the store is gone
                self._closing.wait(RETRY_S)

    def _listen(self) -> None:
        connection = self._database.detached()
        try:
            with self._database.errors_of(connection):
                driver = connection.dbapi_connection
                driver.execute(f"LISTEN {self._channel}")
                self._look()  # at what came before it listened
                while not self._closing.is_set():
                    told = list(driver.notifies(timeout=GRAIN_S, stop_after=1))
                    if any(one.payload != self._own for one in told):
                        self._look()
                    self._look_now_and_then()
        finally:
            with suppress(Exception):
                connection.close()

    def _look_now_and_then(self) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOK_S
            self._look()
