"""Grounds for the task queue's tests: each store in turn, with a fresh queue for each test.

`store` opens handles on the queue, `queue` is one; `event_store` and `events` are the same for
stores of events. A store is a name in `STORES` (or `EVENT_STORES`), and an import of its fixture
`<name>_store` (`<name>_event_store`; see `stores.py`): whoever writes a store adds these two.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from labs.task_queue.events import EventStore
from labs.task_queue.queue import TaskQueue
from tests.task_queue.postgres import fresh_database, own_postgres, postgres_url
from tests.task_queue.s3 import (
    events_s3_store,
    own_s3,
    s3_place,
    s3_store,
    s3_store_of_the_run,
)
from tests.task_queue.served import api_memory_store, memory_server
from tests.task_queue.sql_stores import (
    events_postgres_store,
    events_sqlite_store,
    postgres_event_store,
    postgres_store,
    sqlite_event_store,
    sqlite_store,
    sqlite_url,
)
from tests.task_queue.stores import Store, events_memory_store, memory_event_store, memory_store

__all__ = [
    "api_memory_store",
    "events_memory_store",
    "events_postgres_store",
    "events_s3_store",
    "events_sqlite_store",
    "fresh_database",
    "memory_event_store",
    "memory_server",
    "memory_store",
    "own_postgres",
    "own_s3",
    "postgres_event_store",
    "postgres_store",
    "postgres_url",
    "s3_place",
    "s3_store",
    "s3_store_of_the_run",
    "sqlite_event_store",
    "sqlite_store",
    "sqlite_url",
]

STORES = [
    "memory",
    "events_memory",
    "sqlite",
    "events_sqlite",
    "postgres",
    "events_postgres",
    "s3",
    "events_s3",
    "api_memory",
]
EVENT_STORES = [
    "memory",
    "sqlite",
    "postgres",
]

AROUND = ("events_sqlite", "events_postgres", "events_s3")
"""Another store with events around it: each move is tried there, and not all that is around."""
NOT_AROUND = ("forks", "ids", "bodies", "order", "attempts", "pages", "purge", "waiting")
"""Files of the contract that these are spared, unless LABS_TEST_STORES=all."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the run short: see `AROUND`."""
    if os.environ.get("LABS_TEST_STORES") == "all":
        return
    spared = [
        item
        for item in items
        if item.path.stem.removeprefix("test_contract_") in NOT_AROUND
        and isinstance(item, pytest.Function)
        and hasattr(item, "callspec")
        and item.callspec.params.get("store") in AROUND
    ]
    if spared:
        config.hook.pytest_deselected(items=spared)
        items[:] = [item for item in items if item not in spared]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    """Each store in turn."""
    store: Store = request.getfixturevalue(f"{request.param}_store")
    return store


@pytest.fixture
def queue(store: Store) -> TaskQueue:
    """A handle on an empty queue, on each store in turn."""
    return store.open()


@pytest.fixture(params=EVENT_STORES)
def event_store(request: pytest.FixtureRequest) -> Callable[[], EventStore]:
    """Opens handles on an empty store of events, each kind in turn."""
    opener: Callable[[], EventStore] = request.getfixturevalue(f"{request.param}_event_store")
    return opener


@pytest.fixture
def events(event_store: Callable[[], EventStore]) -> EventStore:
    """A handle on an empty store of events, each kind in turn."""
    return event_store()
