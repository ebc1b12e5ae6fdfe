"""Working on builds with the client: leases that are extended, claims that are lost, faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from labs.queue_service.api import create_app
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.client_claims import Work
from labs.queue_service.client_verbs import Verbs, VerbsOf
from labs.queue_service.messages import State
from labs.queue_service.operations import Extend, Operation
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService
from labs.task_queue.errors import ClaimLost, StoreUnreachable
from tests.queue_service.doors import (
    build,
    client,
    cluster,
    door,
    job,
    shared_service,
    shared_url,
)
from tests.support import wait_until

__all__ = ["build", "client", "cluster", "door", "job", "shared_service", "shared_url"]

A = TypeVar("A")

TIMEOUT_S = 30.0
SHORT_S = 0.6


def test_each_build_is_worked_on_and_acknowledged_with_what_came_of_it(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    for n in range(3):
        door.start(build + n, job + n, {"n": n}, cluster=cluster)

    for work in door.claims("w", 2, cluster=cluster, drain=True):
        with work:
            work.result = work.body["n"]
        assert work.state is State.DONE

    results = [door.find(str(build + n)).message.result for n in range(3)]
    assert results == [0, 1, 2]


def test_what_a_block_raises_goes_through_and_is_the_reason_of_the_failure(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    door.start(build, job, cluster=cluster, max_attempts=1)

    def one() -> None:
        for work in door.claims("w", cluster=cluster, drain=True):
            with work:
                raise ValueError("no such branch")

    with pytest.raises(ValueError, match="no such branch"):
        one()

    message = door.find(str(build)).message
    assert (message.state, message.reason) == (State.FAILED, "ValueError: no such branch")


def test_who_is_interrupted_hands_the_build_back_and_what_was_not_begun(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    for n in range(3):
        door.start(build + n, job + n, cluster=cluster)

    def one() -> None:
        for work in door.claims("w", 3, cluster=cluster):
            with work:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one()

    for n in range(3):
        message = door.find(str(build + n)).message
        assert (message.state, message.attempts) == (State.QUEUED, 0)


def test_a_loop_goes_on_after_a_build_that_failed(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    for n in range(3):
        door.start(build + n, job + n, cluster=cluster, max_attempts=1)
    states: list[State | None] = []

    for work in door.claims("w", 3, cluster=cluster, drain=True):
        with suppress(ValueError), work:
            if work.claimed.build_id == build:
                raise ValueError
        states.append(work.state)

    assert states == [State.FAILED, State.DONE, State.DONE]


def test_a_build_may_be_settled_within_the_block_or_left_alone(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    for n in range(2):
        door.start(build + n, job + n, cluster=cluster)

    for work in door.claims("w", 2, cluster=cluster):
        if work.claimed.build_id != build:
            break  # nobody works on it
        with work:
            assert work.fail("broken for good", final=True) is State.FAILED

    assert door.find(str(build)).message.reason == "broken for good"
    assert door.find(str(build + 1)).message.state is State.QUEUED


def lost(work: Work) -> ClaimLost:
    """Why it was lost, as soon as that is noticed."""
    return wait_until(lambda: work.lost, TIMEOUT_S, what="the loss")


def test_a_lease_is_extended_for_as_long_as_one_works_and_no_longer(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    for n in range(2):
        door.start(build + n, job + n, cluster=cluster)
    builds = [str(build), str(build + 1)]

    def leases() -> list[datetime | None]:
        return [door.find(id).message.lease_ends for id in builds]

    def extended(first: list[datetime | None]) -> bool:
        return all(now and was and now > was for now, was in zip(leases(), first, strict=True))

    for work in door.claims("w", 2, lease_s=SHORT_S, cluster=cluster):
        with work:
            for _ in range(4):  # longer than a lease
                wait_until(partial(extended, leases()), TIMEOUT_S, what="longer leases")
        assert work.state is State.DONE
        break
    wait_until(
        lambda: not [one for one in threading.enumerate() if one.name == "leases"],
        TIMEOUT_S,
        what="the thread to end",
    )


def test_a_build_that_is_stopped_is_no_longer_ones_own_and_the_block_s_end_says_so(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    door.start(build, job, cluster=cluster)

    def one() -> None:
        for work in door.claims("w", lease_s=SHORT_S, cluster=cluster):
            with work:
                door.stop(build)
                lost(work)

    with pytest.raises(ClaimLost, match=f"Build {build} has been stopped"):
        one()
    assert door.find(str(build)).message.state is State.STOPPED


def test_that_the_claim_was_lost_shows_at_the_latest_when_it_is_settled(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    door.start(build, job, cluster=cluster)
    for work in door.claims("w", cluster=cluster, drain=True):
        with suppress(ClaimLost), work:
            door.nack(work.claimed, requeue=True)
            (other,) = door.claim("another", cluster=cluster)
        assert (work.state, work.lost is not None) == (None, True)

    assert door.ack(other) is State.DONE


class Gate:
    """A service that may be away; what it is asked is counted."""

    def __init__(self, service: QueueService) -> None:
        self.service, self.away, self.lost, self.extends = service, False, 0, 0

    def call(self, operation: Operation[A]) -> A:
        if isinstance(operation, Extend):
            self.extends += 1
        if self.away:
            raise StoreUnreachable("The service is away.", remedy="Wait.")
        answer = self.service.call(operation)
        if self.lost:
            self.lost -= 1
            raise StoreUnreachable("The answer was lost.", remedy="Look.")
        return answer


@pytest.fixture
def gate(shared_service: QueueService) -> Gate:
    return Gate(shared_service)


@pytest.fixture
def gated(gate: Gate) -> Iterator[Verbs]:
    yield VerbsOf(gate.call)
    gate.away = False


def test_a_service_that_is_away_when_a_build_ends_is_told_when_it_is_back(
    gate: Gate, gated: Verbs, build: int, job: int, cluster: str
) -> None:
    gated.start(build, job, cluster=cluster)
    for work in gated.claims("w", cluster=cluster, drain=True):
        with work:
            gate.away = True
            threading.Timer(0.5, setattr, (gate, "away", False)).start()
        assert work.state is State.DONE


def test_an_answer_that_was_lost_is_no_lost_claim(
    gate: Gate, gated: Verbs, build: int, job: int, cluster: str
) -> None:
    gated.start(build, job, cluster=cluster)
    for work in gated.claims("w", cluster=cluster, drain=True):
        with work:
            gate.lost = 1
            assert work.fail("why", final=True) is State.FAILED


def test_a_service_that_stays_away_loses_the_claim_when_its_lease_is_over(
    gate: Gate, gated: Verbs, build: int, job: int, cluster: str
) -> None:
    gated.start(build, job, cluster=cluster)

    def one() -> None:
        for work in gated.claims("w", lease_s=SHORT_S, cluster=cluster):
            with work:
                gate.away = True
                lost(work)

    with pytest.raises(ClaimLost, match="the service did not answer"):
        one()
    assert gate.extends > 1


def test_a_server_that_is_gone_and_comes_back_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = f"sqlite:///{tmp_path / 'builds.db'}"
    done: list[str] = []

    def work(url: str) -> None:
        with QueueServiceClient(url, retries=0) as client:
            for one in client.claims("w", wait_s=0.2, wanted=lambda: len(done) < 2):
                with one:
                    done.append(one.id)

    with QueueService.at(store) as service:
        with serving(create_app(service)) as url, QueueServiceClient(url) as client:
            client.start(1, 1)
            working = threading.Thread(target=work, args=(url,))
            working.start()
            wait_until(lambda: client.find("1").message.state is State.DONE, TIMEOUT_S, what="it")
        wait_until(lambda: "tried again" in caplog.text, TIMEOUT_S, what="it to be missed")
        with serving(create_app(service), port=int(url.rpartition(":")[2])):
            with QueueServiceClient(url) as client:
                client.start(2, 2)
            working.join(TIMEOUT_S)
            assert done == ["1", "2"]


def test_what_is_wrong_at_the_first_claim_is_raised_and_not_waited_for() -> None:
    with (
        QueueServiceClient("localhost:1", retries=0) as client,
        pytest.raises(StoreUnreachable, match="refused"),
    ):
        next(iter(client.claims("w")))
