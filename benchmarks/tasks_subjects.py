"""What `benchmarks.tasks` measures: our stores, and public ways to keep tasks in PostgreSQL.

A subject opens grounds; a ground is a place for tasks, empty at first, that can be filled with
so many, half of them waiting and half of them done, and that gives handles. A handle has three
verbs, each for many tasks at once: to do one at a time is to call it with one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from labs.task_queue.queue import TaskQueue
from labs.task_queue.tasks import Success

BODY = {"order": 17, "lines": [{"sku": "a-1", "n": 2}, {"sku": "b-2", "n": 1}]}
FILLED_AT_ONCE = 10_000


class Handle(Protocol):
    """What a program has of a queue."""

    def put(self, ids: Sequence[str]) -> None:
        """Add tasks, each with `BODY`."""

    def get(self, n: int) -> Sequence[Any]:
        """Claim up to so many; what is returned goes to `success`."""

    def success(self, claims: Sequence[Any]) -> None:
        """Settle what was claimed."""

    def close(self) -> None:
        """Let go of connections."""


class Ground(Protocol):
    """A place for tasks, empty at first."""

    def open(self) -> Handle:
        """One more handle; a worker in another process opens its own."""

    def fill(self, stored: int) -> None:
        """Fill the empty ground with so many tasks: the older half done, the other half waiting."""


@dataclass(frozen=True)
class Subject:
    """A store, and how much of it is measured."""

    name: str
    ground: Callable[[], AbstractContextManager[Ground]]
    most: int
    """Tasks stored beyond which it is not filled, for that would take too long."""
    singles: int
    """Tasks in one round, one at a time."""
    batch: int
    """Tasks in one call of a batch; 0: it has no batches."""


@dataclass
class QueueHandle:
    """A task queue of ours."""

    queue: TaskQueue

    def put(self, ids: Sequence[str]) -> None:
        """Add tasks."""
        self.queue.put_quietly(dict.fromkeys(ids, BODY))

    def get(self, n: int) -> Sequence[Any]:
        """Claim tasks, with a lease."""
        return self.queue.get(n, lease_s=600)

    def success(self, claims: Sequence[Any]) -> None:
        """Settle tasks."""
        if len(claims) == 1:
            self.queue.success(claims[0])
        elif refused := self.queue.settle([Success(claim) for claim in claims]):
            raise next(iter(refused.values()))

    def close(self) -> None:
        """Close the queue."""
        self.queue.close()


@dataclass
class QueueGround:
    """A ground of ours; it is filled by the verbs, unless its store has a quicker way."""

    opener: Callable[[], TaskQueue]
    filler: Callable[[int], None] | None = None

    def open(self) -> QueueHandle:
        """One more handle."""
        return QueueHandle(self.opener())

    def fill(self, stored: int) -> None:
        """Put them all; claim and settle half."""
        if self.filler:
            self.filler(stored)
            return
        handle = self.open()
        for first in range(0, stored, FILLED_AT_ONCE):
            handle.put([f"old-{n}" for n in range(first, min(first + FILLED_AT_ONCE, stored))])
        for first in range(0, stored // 2, FILLED_AT_ONCE):
            handle.success(handle.get(min(FILLED_AT_ONCE, stored // 2 - first)))
        handle.close()
