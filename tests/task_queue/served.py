"""A store behind a real server on loopback, asked through the client: a store like the others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from labs.task_queue.api import create_app
from labs.task_queue.api_server import serving
from labs.task_queue.client import ApiClient
from labs.task_queue.memory import MemoryQueue
from tests.task_queue.stores import Store


@pytest.fixture
def api_memory_store() -> Iterator[Store]:
    """In the memory of a server, which outlives whoever asks it."""
    with serving(create_app(MemoryQueue())) as url:
        store = Store("a server's memory", partial(ApiClient, url))
        yield store
        store.close()
