"""An S3 store for the tests: a private SeaweedFS for the whole run, or another that is named.

`LABS_TEST_S3` names a place in another (`s3://bucket/prefix`); its endpoint and credentials are
in the usual variables. Each test has a prefix that nobody had before it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from labs.errors import NotPossibleHere
from labs.task_queue.events_queue import with_events
from labs.task_queue.local_s3 import LocalS3
from labs.task_queue.queue import TaskQueue
from labs.task_queue.s3 import S3Queue, json_s3_queue
from labs.task_queue.sql_database import Database
from labs.task_queue.sql_events import SqlEventStore
from tests.conftest import missing
from tests.task_queue.stores import Store

KILL_PAUSE_S = 0.2


@dataclass(frozen=True)
class S3Place:
    """Where a test may keep a queue, and with which arguments `json_s3_queue` gets there."""

    base_path: str
    access: dict[str, str]

    def open(self) -> S3Queue:
        """A handle on the queue there."""
        return json_s3_queue(self.base_path, **self.access)


@pytest.fixture(scope="session")
def s3_store_of_the_run() -> Iterator[S3Place]:
    """A place in a real S3 store."""
    if base_path := os.environ.get("LABS_TEST_S3"):
        yield S3Place(base_path, {})
        return
    try:
        server = LocalS3().start()
    except NotPossibleHere as why:
        missing(str(why))
    yield S3Place(server.base_path, server.access)
    server.close()


@pytest.fixture
def s3_place(s3_store_of_the_run: S3Place) -> S3Place:
    """A place of the test's own."""
    given = s3_store_of_the_run
    return S3Place(f"{given.base_path.rstrip('/')}/test-{secrets.token_hex(6)}", given.access)


@pytest.fixture
def own_s3() -> Iterator[LocalS3]:
    """A store that the test may stop and crash."""
    try:
        server = LocalS3().start()
    except NotPossibleHere as why:
        missing(str(why))
    yield server
    server.close()


def open_queue(place: S3Place) -> TaskQueue:
    """For other processes, to which it can be sent."""
    return place.open()


@pytest.fixture
def s3_store(s3_place: S3Place) -> Iterator[Store]:
    """In a bucket."""
    store = Store("s3", partial(open_queue, s3_place), kill_pause_s=KILL_PAUSE_S)
    yield store
    store.close()


def open_with_events(place: S3Place, events_url: str) -> TaskQueue:
    """The same, with its events in a database."""
    return with_events(place.open(), SqlEventStore(Database.at(events_url)), "tested")


@pytest.fixture
def events_s3_store(s3_place: S3Place, sqlite_url: str) -> Iterator[Store]:
    """In a bucket, with events elsewhere: move and event are two steps."""
    opener = partial(open_with_events, s3_place, sqlite_url)
    store = Store("events around s3", opener, kill_pause_s=KILL_PAUSE_S)
    yield store
    store.close()
