"""Servers that a lesson starts for itself, such as a PostgreSQL, and where one can't be had.

Each ends with the process that started it; here they are ended sooner, with the notebook. A
server that this machine has no program for is a sentence, and the lesson goes on without it.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from labs.errors import NotPossibleHere
from labs.notebook.display import busy


class Server(Protocol):
    """A server of the lab's own, such as `LocalPostgres()`, that ends with its process."""

    def start(self) -> Any:
        """Start it, and return when it answers; `NotPossibleHere` if it can't be had."""

    def close(self) -> None:
        """End it, with all that is in it."""


S = TypeVar("S", bound=Server)


class Servers:
    """Those that one notebook has started, one of a kind."""

    def __init__(self) -> None:
        self._running: list[Server] = []

    def start(self, server: S) -> S | None:
        """Start it; None, and a sentence printed, if it can't be had here.

        If one of its kind runs, it is that one: what a notebook has in it stays, though the cell
        is run again.
        """
        for running in self._running:
            if isinstance(running, type(server)):
                return running
        try:
            with busy(f"{type(server).__name__} starts"):
                server.start()
        except NotPossibleHere as why:
            print(f"{why}\nWhat to do: {why.remedy}\nThe lesson goes on without it.")
            return None
        self._running.append(server)
        return server

    def end(self) -> list[str]:
        """End all, and say which there were."""
        ended: list[str] = []
        while self._running:
            server = self._running.pop()
            server.close()
            ended.insert(0, type(server).__name__)
        return ended
