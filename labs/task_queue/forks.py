"""What a fork must not share: connections and threads.

A forked process has its parent's objects, and not its threads; and two processes that speak on
one connection hear each other's answers. So whoever keeps such things keeps them by process: a
child that uses its parent's handle makes its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class OfProcess(Generic[T]):
    """Something of which each process has one of its own, made when it is first asked for."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def __call__(self) -> T:
        """This process's own."""
        process = os.getpid()
        if process not in self._made:  # of two threads at once the first one's counts
            self._made.setdefault(process, self._make())
        return self._made[process]

    def made(self) -> T | None:
        """This process's own, if it has been asked for."""
        return self._made.get(os.getpid())
