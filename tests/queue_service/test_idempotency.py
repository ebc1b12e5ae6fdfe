"""Nothing twice: the same build is one message, the same key one request, a day long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from labs.queue_service.errors import KeyReused
from labs.queue_service.messages import State
from labs.queue_service.operations import GetStats, Stop, Tick
from labs.queue_service.service import QueueService
from labs.task_queue.errors import ClaimLost
from labs.waiting import wait_until
from tests.queue_service.grounds import (
    TIMEOUT_S,
    Clock,
    Ground,
    ack,
    claim,
    claim_one,
    nack,
    put,
    state,
)


def test_the_same_build_twice_is_one_message_and_the_answer_says_so(
    service: QueueService,
) -> None:
    first, second = put(service, 5, 7), put(service, 5, 7, priority=9)
    assert (first.created, second.created) == (True, False)
    assert (second.id, second.state) == (first.id, State.QUEUED)
    assert "one message" in second.note
    claimed = claim_one(service)
    assert put(service, 5, 7).state is State.RUNNING
    ack(service, claimed)
    assert put(service, 5, 7).state is State.DONE
    assert claim(service) == []


def test_many_who_start_the_same_builds_at_once_start_each_once(ground: Ground) -> None:
    services = [ground.open(), ground.open()]

    def start_all(n: int) -> list[bool]:
        return [put(services[n % 2], build, build).created for build in range(1, 21)]

    with ThreadPoolExecutor(4) as pool:
        created = list(pool.map(start_all, range(4)))
    assert [sum(row) for row in zip(*created, strict=True)] == [1] * 20
    assert services[0].call(GetStats()).counts[State.QUEUED] == 20


def test_a_key_is_answered_as_the_first_time_and_says_that_it_is_a_replay(
    service: QueueService,
) -> None:
    first = put(service, 5, 7, idempotency_key="k", fingerprint="a")
    claim_one(service)
    again = put(service, 5, 7, idempotency_key="k", fingerprint="a")
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.created, again.state, again.id) == (True, State.QUEUED, "5")


def test_a_key_that_comes_with_another_request_is_refused_and_starts_nothing(
    service: QueueService,
) -> None:
    put(service, 5, 7, idempotency_key="k\0", fingerprint="a")
    with pytest.raises(KeyReused, match="came before, with another request"):
        put(service, 6, 7, idempotency_key="k\0", fingerprint="b")
    assert service.call(GetStats()).counts[State.QUEUED] == 1
    assert service.call(GetStats()).counts[State.BLOCKED] == 0


def test_a_key_is_honoured_for_a_day_and_then_forgotten(timed: QueueService, clock: Clock) -> None:
    put(timed, 5, 7, idempotency_key="k", fingerprint="a")
    clock.pass_(hours=23.9)
    assert put(timed, 5, 7, idempotency_key="k", fingerprint="a").replayed
    clock.pass_(hours=0.2)
    timed.call(Tick())
    new = put(timed, 6, 8, idempotency_key="k", fingerprint="b")
    assert (new.created, new.replayed) == (True, False)


def test_keys_are_forgotten_as_fast_as_they_come(
    timed: QueueService, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.queue_service.service_ticks.AT_ONCE", 2)
    for build in range(1, 8):
        put(timed, build, build, idempotency_key=f"k{build}", fingerprint="a")
    clock.pass_(hours=25)
    timed.call(Tick())  # once: it sees that there is more, and goes on

    def none_is_left() -> bool:
        asked = "SELECT COUNT(*) FROM lab_build_keys WHERE queue = :queue"
        with timed.store.database.session() as session:
            ((n,),) = timed.store.run(session, timed.store.database.compiled(asked))
        return bool(n == 0)

    wait_until(none_is_left, TIMEOUT_S)


def test_a_key_is_kept_by_all_instances_and_outlives_them(ground: Ground) -> None:
    with ground.open() as first:
        put(first, 5, 7, idempotency_key="k", fingerprint="a")
    assert put(ground.open(), 5, 7, idempotency_key="k", fingerprint="a").replayed


def test_an_ack_that_comes_again_for_its_answer_was_lost_is_answered(
    service: QueueService,
) -> None:
    put(service, 5, 7)
    claimed = claim_one(service)
    assert [ack(service, claimed), ack(service, claimed)] == [State.DONE, State.DONE]


def test_an_ack_of_an_earlier_claim_is_refused_though_the_build_is_done(
    service: QueueService,
) -> None:
    put(service, 5, 7)
    earlier = claim_one(service)
    nack(service, earlier, requeue=True)
    ack(service, claim_one(service))
    with pytest.raises(ClaimLost, match="it is done"):
        ack(service, earlier)


def test_a_build_that_was_stopped_is_not_started_by_a_repeated_start(
    service: QueueService,
) -> None:
    put(service, 5, 7)
    service.call(Stop(build_id=5))
    assert put(service, 5, 7).created is False
    assert state(service, 5) is State.STOPPED
