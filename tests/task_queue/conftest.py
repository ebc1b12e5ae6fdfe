"""Grounds for the task queue's tests: each store in turn, with a fresh queue for each test.

`store` opens handles on the queue, `queue` is one. A store is a line in `STORES`, and an import
of its fixture `<name>_store` (see `stores.py`): whoever writes a store adds these two.
"""

from __future__ import annotations

import pytest

from labs.task_queue.queue import TaskQueue
from tests.task_queue.postgres import fresh_database, own_postgres, postgres_url
from tests.task_queue.stores import Store, memory_store

__all__ = ["fresh_database", "memory_store", "own_postgres", "postgres_url"]

STORES = [
    "memory",
]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    """Each store in turn."""
    store: Store = request.getfixturevalue(f"{request.param}_store")
    return store


@pytest.fixture
def queue(store: Store) -> TaskQueue:
    """A handle on an empty queue, on each store in turn."""
    return store.open()
