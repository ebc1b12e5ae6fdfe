"""The two doors of one service: in the same process, and over HTTP by the client.

Both stand for the whole run; a test has numbers and a cluster of its own, so that it sees nothing
of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from labs.queue_service.api import create_app
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.client_verbs import Verbs, VerbsOf
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService

NUMBERS = count(1000)


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueService]:
    """A service in a SQLite file."""
    file = tmp_path_factory.mktemp("doors") / "builds.db"
    with QueueService.at(f"sqlite:///{file}") as service:
        yield service.start_ticking()


@pytest.fixture(scope="session")
def shared_url(shared_service: QueueService) -> Iterator[str]:
    """Where it is served, to everybody."""
    with serving(create_app(shared_service)) as url:
        yield url


@pytest.fixture
def client(shared_url: str) -> Iterator[QueueServiceClient]:
    """A client of it."""
    with QueueServiceClient(shared_url) as client:
        yield client


@pytest.fixture(params=["in process", "by REST"])
def door(request: pytest.FixtureRequest, shared_service: QueueService) -> Verbs:
    """Each of the two."""
    if request.param == "in process":
        return VerbsOf(shared_service.call)
    client: QueueServiceClient = request.getfixturevalue("client")
    return client


@pytest.fixture
def job() -> int:
    """The first of some numbers that no other job has."""
    return next(NUMBERS) * 1000


@pytest.fixture
def build() -> int:
    """The first of some numbers that no other build has."""
    return next(NUMBERS) * 1000


@pytest.fixture
def cluster() -> str:
    """A build cluster that nobody else has."""
    return f"cluster-{next(NUMBERS)}"
