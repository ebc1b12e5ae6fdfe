"""A PostgreSQL for the tests: a private one for the whole run, or that at LABS_TEST_POSTGRES.

What a test keeps there is its own: a queue by a name that nobody had before it, or, where it
tries the schema itself, a fresh database.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import psycopg
import pytest

from labs.errors import NotPossibleHere
from labs.task_queue.local_postgres import LocalPostgres
from tests.conftest import missing


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a real PostgreSQL, with the password of one who may make databases."""
    if url := os.environ.get("LABS_TEST_POSTGRES"):
        yield url
        return
    try:
        server = LocalPostgres().start()
    except NotPossibleHere as why:
        missing(str(why))
    yield server.url
    server.close()


@pytest.fixture
def fresh_database(postgres_url: str) -> Iterator[str]:
    """The address of a database of the test's own, empty."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield postgres_url.rpartition("/")[0] + f"/{name}"
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def own_postgres() -> Iterator[LocalPostgres]:
    """A PostgreSQL that the test may stop and crash."""
    try:
        server = LocalPostgres().start()
    except NotPossibleHere as why:
        missing(str(why))
    yield server
    server.close()
