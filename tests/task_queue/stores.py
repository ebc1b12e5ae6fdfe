"""What the contract suite knows of a store: how a handle on the test's own queue is opened.

Each store has one fixture, `<name>_store`, in a module of its own (this one has memory's). To
add a store: import its fixture in `conftest.py` and write its name into `STORES` there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from labs.task_queue.events import EventStore, MemoryEventStore
from labs.task_queue.events_queue import with_events
from labs.task_queue.memory import MemoryQueue, MemoryTasks
from labs.task_queue.queue import TaskQueue


@dataclass
class Store:
    """A queue that is empty at first, and nobody else's."""

    name: str
    opener: Callable[[], TaskQueue]
    """Opens one more handle on it. Where `survives`, it can be pickled: a function of a module,
    or a `functools.partial` of one, so that another process can open the queue too."""
    survives: bool = True
    """Whether the tasks outlive the process that has put them."""
    kill_pause_s: float = 0.04
    """Between two kills, at most: a worker should live for some verbs."""
    _open: ExitStack = field(default_factory=ExitStack)

    def open(self) -> TaskQueue:
        """One more handle; it is closed at the end of the test."""
        return self._open.enter_context(self.opener())

    def close(self) -> None:
        """Close all handles."""
        self._open.close()


@pytest.fixture
def memory_store() -> Iterator[Store]:
    """In memory, within this process."""
    tasks = MemoryTasks()
    store = Store("memory", lambda: MemoryQueue(tasks), survives=False)
    yield store
    store.close()


@pytest.fixture
def events_memory_store() -> Iterator[Store]:
    """In memory, every move an event."""
    tasks, events = MemoryTasks(), MemoryEventStore()
    store = Store(
        "events around memory",
        lambda: with_events(MemoryQueue(tasks), events, "test"),
        survives=False,
    )
    yield store
    store.close()


@pytest.fixture
def memory_event_store() -> Callable[[], EventStore]:
    """Events in memory: one store, however often it is opened."""
    events = MemoryEventStore()
    return lambda: events
