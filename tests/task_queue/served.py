"""A store behind a real server on loopback, asked through the client: a store like the others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from labs.task_queue.api import create_app
from labs.task_queue.api_server import serving
from labs.task_queue.client import ApiClient
from labs.task_queue.memory import MemoryQueue, MemoryTasks
from tests.task_queue.stores import Store


@pytest.fixture(scope="session")
def memory_server() -> Iterator[tuple[str, MemoryQueue]]:
    """A server for the whole run, and the queue before which it stands."""
    queue = MemoryQueue()
    with serving(create_app(queue)) as url:
        yield url, queue


@pytest.fixture
def api_memory_store(memory_server: tuple[str, MemoryQueue]) -> Iterator[Store]:
    """In the memory of a server, which outlives whoever asks it."""
    url, queue = memory_server
    queue.tasks = MemoryTasks()
    store = Store("a server's memory", partial(ApiClient, url))
    yield store
    store.close()
