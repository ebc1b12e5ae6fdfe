"""The store goes away, and the server dies: nothing that was answered is lost, nothing doubled.

PostgreSQL is restarted and crashed under load: the instances say 503 for as long as it is away,
with when to come again, stay alive, and recover by themselves. A SQLite whose disk is full refuses,
and goes on when there is room; its server is killed again and again, in whatever it does.
`LABS_TEST_SERVICE_KILLS` says how often (20).
"""

from __future__ import annotations

import os
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from labs.errors import NotPossibleHere
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.local_instance import LocalInstances
from labs.task_queue.local_postgres import LocalPostgres
from labs.waiting import wait_until
from tests.conftest import missing
from tests.queue_service.ledger import Ledger, Load
from tests.queue_service.served_apart import ServedApart

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("LABS_TEST_SERVICE_KILLS", "20"))
FULL = 40_000
"""What SQLite needs to read fits in so few bytes; no more than a transaction or two is written."""
STARTS = {"buildId": 1_000_000, "jobId": 1_000_000}


@pytest.fixture(scope="module")
def postgres() -> Iterator[LocalPostgres]:
    """A PostgreSQL that the tests may stop; each leaves it running."""
    try:
        server = LocalPostgres().start()
    except NotPossibleHere as why:
        missing(str(why))
    yield server
    server.close()


@pytest.fixture(scope="module")
def two(postgres: LocalPostgres) -> Iterator[LocalInstances]:
    """Two instances on it."""
    instances = LocalInstances(postgres.url, ["one", "two"])
    yield instances.start()
    instances.close()


def status_of(url: str, path: str) -> int:
    """What a path of an instance is answered with."""
    return httpx.get(f"{url}/v1/{path}", timeout=10).status_code


def test_a_postgresql_restarted_and_crashed_under_load_costs_nothing_that_was_answered(
    two: LocalInstances, postgres: LocalPostgres
) -> None:
    ledger = Ledger()
    with Load(two.urls, ledger) as load:
        load.wait_for(40, settled=20)
        postgres.restart()
        load.wait_for(40, settled=20)
        postgres.crash()
        postgres.start()
        load.wait_for(40, settled=20)
    with QueueServiceClient(two["one"].url) as client:
        ledger.check(client)


def test_while_its_store_is_away_the_service_says_so_and_lives(
    two: LocalInstances, postgres: LocalPostgres
) -> None:
    url = two["one"].url
    assert [status_of(url, path) for path in ("status", "ready")] == [200, 200]
    postgres.crash()
    assert status_of(url, "status") == 200
    wait_until(lambda: status_of(url, "ready") == 503, 10, what="the instance to notice")
    refused = httpx.post(f"{url}/v1/queue/message", json=STARTS, timeout=10)
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["Content-Type"] == "application/problem+json"
    claim = httpx.post(f"{url}/v1/queue/claim", json={"owner": "w", "waitS": 1}, timeout=20)
    assert claim.status_code == 503
    assert status_of(url, "queue/stats") == 503
    assert status_of(url, "status") == 200
    postgres.start()
    wait_until(lambda: status_of(url, "ready") == 200, 20, what="the instance to recover")
    assert httpx.post(f"{url}/v1/queue/message", json=STARTS, timeout=10).status_code == 201


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[ServedApart]:
    """The server on a SQLite file, in a process that is quick to come back."""
    with ServedApart(f"sqlite:///{tmp_path}/queue.db") as served:
        yield served


def test_a_sqlite_server_killed_again_and_again_loses_nothing_and_doubles_nothing(
    on_sqlite: ServedApart,
) -> None:
    ledger, chosen = Ledger(), random.Random(6)
    with Load([on_sqlite.url], ledger, starters=2, workers=2) as load:
        for _ in range(KILLS):
            load.wait_for(3)
            time.sleep(chosen.uniform(0, 0.1))  # anywhere in what it does
            on_sqlite.crash()
            on_sqlite.start()
        load.wait_for(20, settled=20)
    with QueueServiceClient(on_sqlite.url) as client:
        ledger.check(client)


def test_a_full_disk_is_refused_and_costs_nothing_that_was_answered(
    on_sqlite: ServedApart,
) -> None:
    with QueueServiceClient(on_sqlite.url, retries=0) as client:
        ledger = Ledger()
        with Load([on_sqlite.url], ledger, starters=2, workers=2) as load:
            load.wait_for(50, settled=20)
            disk_ends_at(on_sqlite.pid, FULL)
            wait_until(lambda: ledger.unanswered["Start"] > 3, 20, what="the disk to be full")
            refused = httpx.post(f"{on_sqlite.url}/v1/queue/message", json=STARTS, timeout=10)
            assert refused.status_code in (503, 507)
            seen = [status_of(on_sqlite.url, path) for path in ("status", "queue/stats", "ready")]
            assert seen == [200, 200, 503], "it lives, can be read, and takes no builds"
            disk_ends_at(on_sqlite.pid, resource.RLIM_INFINITY)
            wait_until(lambda: status_of(on_sqlite.url, "ready") == 200, 20, what="it to be ready")
            load.wait_for(50, settled=50)
        ledger.check(client)


def disk_ends_at(pid: int, size: int) -> None:
    """Let no file of a process grow beyond this: to it, that is a disk that is full."""
    psutil.Process(pid).rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
