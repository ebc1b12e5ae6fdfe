"""The SQL stores for the contract: SQLite in a file, PostgreSQL, and events beside each."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from labs.task_queue.events import EventStore
from labs.task_queue.events_queue import EventQueue, with_events
from labs.task_queue.queue import TaskQueue
from labs.task_queue.sql import SqlQueue
from labs.task_queue.sql_events import SqlEventStore
from tests.task_queue.stores import Store


def open_with_events(url: str, name: str) -> EventQueue:
    """A queue whose events are in its own database, by its own connections."""
    queue = SqlQueue.connect(url, name)
    return with_events(queue, SqlEventStore(queue.database), name)


def store_of(name: str, opener: Callable[[str, str], TaskQueue], url: str) -> Iterator[Store]:
    """A queue by a name of the test's own."""
    store = Store(name, partial(opener, url, f"test-{secrets.token_hex(6)}"))
    yield store
    store.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file of the test's own."""
    return f"sqlite:///{tmp_path / 'tasks.db'}"


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """In a SQLite file."""
    yield from store_of("sqlite", SqlQueue.connect, sqlite_url)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """In PostgreSQL."""
    yield from store_of("postgres", SqlQueue.connect, postgres_url)


@pytest.fixture
def events_sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """In a SQLite file, with events in the same transactions."""
    yield from store_of("events around sqlite", open_with_events, sqlite_url)


@pytest.fixture
def events_postgres_store(postgres_url: str) -> Iterator[Store]:
    """In PostgreSQL, with events in the same transactions."""
    yield from store_of("events around postgres", open_with_events, postgres_url)


def _event_stores(url: str) -> Iterator[Callable[[], EventStore]]:
    with ExitStack() as open_ones:

        def open_() -> EventStore:
            store = SqlEventStore.connect(url)
            open_ones.callback(store.close)
            return store

        yield open_


@pytest.fixture
def sqlite_event_store(sqlite_url: str) -> Iterator[Callable[[], EventStore]]:
    """Events in a SQLite file."""
    yield from _event_stores(sqlite_url)


@pytest.fixture
def postgres_event_store(fresh_database: str) -> Iterator[Callable[[], EventStore]]:
    """Events in a fresh database of PostgreSQL."""
    yield from _event_stores(fresh_database)
