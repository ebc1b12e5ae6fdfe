"""Three instances on one PostgreSQL, as real processes, one of them killed under load.

Clients turn to any of them, and to another one if they get no answer. Whatever was answered with
success is there in the end, was dispatched, and was never in two hands at a time; so are builds of
one job, of which the instances must know from each other that one is running.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

import pytest

from labs.queue_service.client import QueueServiceClient
from labs.queue_service.local_instance import LocalInstances
from labs.queue_service.operations import Start
from labs.queue_service.service import QueueService
from tests.queue_service.ledger import Ledger, Load

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def three(postgres_url: str) -> Iterator[LocalInstances]:
    """Three of them, on an empty queue."""
    name = f"three-{secrets.token_hex(4)}"
    instances = LocalInstances(postgres_url, ["one", "two", "three"], ["--name", name])
    yield instances.start()
    instances.close()


def test_an_instance_killed_under_load_loses_nothing_and_doubles_nothing(
    three: LocalInstances,
) -> None:
    ledger = Ledger()
    with Load(three.urls, ledger) as load:
        load.wait_for(50, settled=30)
        three["two"].crash()
        load.wait_for(50, settled=30)  # by the other two
        three["two"].start()
        load.wait_for(50, settled=30)
        three["one"].crash()
        load.wait_for(20)
        three["one"].start()
    with QueueServiceClient(three["three"].url) as client:
        ledger.check(client)
    assert ledger.unanswered, "nobody has met the instance that was killed"


def test_what_one_instance_has_dispatched_another_may_settle(three: LocalInstances) -> None:
    with (
        QueueServiceClient(three["one"].url) as one,
        QueueServiceClient(three["two"].url) as two,
    ):
        one.start(build_id=1, job_id=7)
        (claimed,) = two.claim("worker")
        assert one.ack(claimed) == "done"


def test_an_instance_that_has_just_told_the_others_can_be_closed(fresh_database: str) -> None:
    for build in range(12):  # whether it was just told its own news is luck
        service = QueueService.at(fresh_database)
        for n in range(3):
            service.call(Start(build_id=100 * build + n, job_id=1, body={}, blocked_by=()))
        closing = threading.Thread(target=service.close, daemon=True)
        closing.start()
        closing.join(20)
        assert not closing.is_alive()
