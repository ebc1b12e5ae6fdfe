"""Grounds for the queue service's tests: SQLite and PostgreSQL in turn, a fresh queue each test.

`service` is an instance on an empty queue, by the store's clock; `ground` opens more of them on
the same one. `timed` is one whose time for windows, schedules and what is kept is `clock`, which
stands still till it is set on. `sqlite_service` is for tests to which the store is all one.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator

import pytest

from labs.queue_service.server import deafen
from labs.queue_service.service import QueueService
from tests.conftest import missing
from tests.queue_service.grounds import Clock, Ground
from tests.task_queue.postgres import fresh_database, own_postgres, postgres_url
from tests.task_queue.sql_stores import sqlite_url

__all__ = ["fresh_database", "own_postgres", "postgres_url", "sqlite_url"]


@pytest.fixture
def doors_can_be_deafened() -> None:
    """Without it a port can't be closed on those who stand at the door and cut off none."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        if not deafen(door):
            missing("this kernel lets no ordinary user tell it whom to pass over")


@pytest.fixture
def sqlite_ground(sqlite_url: str) -> Iterator[Ground]:
    """A queue in a SQLite file."""
    ground = Ground(sqlite_url, "builds")
    yield ground
    ground.close()


@pytest.fixture
def postgres_ground(postgres_url: str) -> Iterator[Ground]:
    """A queue in PostgreSQL, by a name that nobody had before."""
    ground = Ground(postgres_url, f"builds-{secrets.token_hex(6)}")
    yield ground
    ground.close()


@pytest.fixture(params=["sqlite", "postgres"])
def ground(request: pytest.FixtureRequest) -> Ground:
    """Each store in turn."""
    ground: Ground = request.getfixturevalue(f"{request.param}_ground")
    return ground


@pytest.fixture
def service(ground: Ground) -> QueueService:
    """An instance on an empty queue, on each store in turn; nothing ticks by itself."""
    return ground.open()


@pytest.fixture
def sqlite_service(sqlite_ground: Ground) -> QueueService:
    """An instance on an empty queue, in SQLite alone."""
    return sqlite_ground.open()


@pytest.fixture
def clock(ground: Ground) -> Clock:
    """The clock of `timed`."""
    return ground.clock


@pytest.fixture
def timed(ground: Ground, clock: Clock) -> QueueService:
    """As `service`, its time being `clock`."""
    return ground.open(clock=clock)
