"""A connection in the hands of one thread at a time, which need not be its link's.

The link's thread has the turn whenever it is awake. While it sleeps, a caller may take it,
and say at once what it has to say. If nothing else is on its way, the caller also hears the
answer itself (it leads): to hand it over to the link's thread and back costs more than all
the rest. As soon as there is a second caller, or the answer takes long, the link's thread
hears for all of them again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from labs.job_queue.rabbitmq_connection import Connection

LEAD_S = 0.1
"""A caller leads no longer, so that it can miss nothing else for longer, such as an end."""


class Turn:
    """Whose turn it is to use a link's connection."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._owner = 0
        self._leader: threading.Event | None = None
        self._led: Connection | None = None

    def is_mine(self) -> bool:
        """Whether the caller has it already: a signal's handler has come between."""
        return self._owner == threading.get_ident()

    def lead(
        self, connection: Connection, begin: Callable[[], bool], is_over: threading.Event
    ) -> None:
        """Begin something; if that returns True, hear the broker until it is over, or for a moment.

        `begin` is called with the turn: it may use the connection.
        """
        with self._taken(connection):
            self._end_lead()
            ear = connection.borrow() if begin() else None
            if ear is None:
                return
            self._leader, self._led = is_over, connection
        end_s = time.monotonic() + LEAD_S
        try:
            while not is_over.is_set() and ear.poll(max(0.0, end_s - time.monotonic()) * 1000):
                with self._taken(connection):
                    if self._leader is not is_over:
                        return
                    if not connection.hear() or is_over.is_set():
                        self._end_lead()
                        return
        finally:
            if self._leader is is_over:
                with self._taken(connection):
                    if self._leader is is_over:
                        self._end_lead()

    @contextmanager
    def _taken(self, connection: Connection) -> Iterator[None]:
        with self.lock:
            self._owner = threading.get_ident()
            try:
                yield
            except BaseException:  # a Ctrl-C, say: nobody knows how far it came
                connection.abort()
                raise
            finally:
                self._owner = 0

    def _end_lead(self) -> None:
        if self._led is not None:
            self._led.give_back()
        self._leader = self._led = None
