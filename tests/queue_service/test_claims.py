"""Claims: one hand at a time, leases, attempts, and what comes back when a hand lets go."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from labs.queue_service.errors import UnknownMessage
from labs.queue_service.messages import State
from labs.queue_service.operations import Ack, Claim, Extend, GetStats, Held, Nack, Stop, Tick
from labs.queue_service.service import QueueService
from labs.task_queue.errors import BadTask, ClaimLost
from labs.task_queue.tasks import GAVE_UP
from labs.waiting import wait_until
from tests.queue_service.grounds import (
    TIMEOUT_S,
    Ground,
    ack,
    claim,
    claim_one,
    held,
    look,
    nack,
    put,
    start,
    state,
)


def test_no_message_is_in_two_hands_however_many_reach_for_it(ground: Ground) -> None:
    services = [ground.open(), ground.open()]
    for build in range(1, 41):
        put(services[0], build, build)

    def work(n: int) -> list[str]:
        ids = []
        while claimed := claim(services[n % 2], 3, owner=f"w{n}"):
            ids += [one.id for one in claimed]
        return ids

    with ThreadPoolExecutor(6) as pool:
        taken = Counter(id_ for ids in pool.map(work, range(6)) for id_ in ids)
    assert taken == Counter(str(build) for build in range(1, 41))
    assert services[1].call(GetStats()).workers <= 6


def test_only_who_holds_a_message_may_settle_it(service: QueueService) -> None:
    put(service, 1, 1)
    claimed = claim_one(service, owner="ada")
    for wrong in (
        Held(id="1", owner="bob", move=claimed.move),
        Held(id="1", owner="ada", move=claimed.move + 1),
    ):
        for operation in (Ack(held=wrong), Nack(held=wrong), Extend(held=wrong)):
            with pytest.raises(ClaimLost, match="yours no longer: ada has claimed it"):
                service.call(operation)
    with pytest.raises(UnknownMessage, match="no message 'x'"):
        service.call(Ack(held=Held(id="x", owner="ada", move=1)))
    assert ack(service, claimed) is State.DONE


def test_one_that_can_not_be_settled_leaves_the_others_of_its_round(
    service: QueueService,
) -> None:
    for build in (1, 2, 3):
        put(service, build, build)
    one, two, three = claim(service, 3)
    nack(service, two, requeue=True)
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(
            lambda operation: _outcome(service, operation),
            [Ack(held=held(one)), Ack(held=held(two)), Ack(held=Held(id="x", owner="w", move=1))],
        )
    assert list(done) == [State.DONE, ClaimLost, UnknownMessage]
    assert ack(service, three) is State.DONE


def _outcome(service: QueueService, operation: Ack) -> object:
    try:
        return service.call(operation)
    except (ClaimLost, UnknownMessage) as error:
        return type(error)


def test_a_lease_that_runs_out_brings_the_message_back_to_its_place(
    service: QueueService,
) -> None:
    put(service, 1, 1)
    put(service, 2, 2)
    late = claim_one(service, lease_s=0.01)
    wait_until(lambda: datetime.now(UTC) > late.lease_ends, TIMEOUT_S)
    again = claim_one(service)
    assert (again.id, again.attempt) == ("1", 2)
    assert again.move > late.move
    with pytest.raises(ClaimLost):
        ack(service, late)


def test_leases_run_out_in_clusters_of_any_name(service: QueueService) -> None:
    clusters = ["", "gpu", " /%s'\\;--", "a/b"]
    for build, cluster in enumerate(clusters, 1):
        put(service, build, build, cluster=cluster)
        claim_one(service, cluster=cluster, lease_s=0.01)

    def are_back() -> bool:
        service.call(Tick())
        return service.call(GetStats()).counts[State.QUEUED] == len(clusters)

    wait_until(are_back, TIMEOUT_S)


def test_a_lease_that_runs_out_in_the_last_attempt_is_the_end(service: QueueService) -> None:
    put(service, 1, 1, max_attempts=1)
    claim_one(service, lease_s=0.01)

    def has_failed() -> bool:
        service.call(Tick())
        return state(service, 1) is State.FAILED

    wait_until(has_failed, TIMEOUT_S)
    assert look(service, 1).reason == GAVE_UP


def test_a_lease_is_extended_from_now_on(service: QueueService) -> None:
    put(service, 1, 1)
    claimed = claim_one(service, lease_s=30)
    ends = service.call(Extend(held=held(claimed), lease_s=3600))
    assert ends - claimed.lease_ends > timedelta(minutes=50)
    told = look(service, 1).lease_ends
    assert told is not None
    assert abs(told - ends) < timedelta(seconds=5)


def test_the_pause_after_a_failure_doubles(service: QueueService) -> None:
    put(service, 1, 1, max_attempts=9, backoff_s=1000)
    nack(service, claim_one(service), reason="no")
    message = look(service, 1)
    assert (message.state, message.reason, message.owner) == (State.QUEUED, "no", None)
    assert 990 < (message.due - datetime.now(UTC)).total_seconds() <= 1000
    assert claim(service) == []


def test_what_is_handed_back_untried_has_lost_no_attempt(service: QueueService) -> None:
    put(service, 1, 1, max_attempts=1)
    assert nack(service, claim_one(service), requeue=True) is State.QUEUED
    again = claim_one(service)
    assert again.attempt == 1
    assert nack(service, again) is State.FAILED


def test_more_attempts_are_not_made_where_they_would_not_help(service: QueueService) -> None:
    put(service, 1, 1, max_attempts=9)
    assert nack(service, claim_one(service), reason="no such image", final=True) is State.FAILED
    assert look(service, 1).reason == "no such image"


def test_an_operation_that_fails_them_all_fails_alone(service: QueueService) -> None:
    """A bad cluster is refused by itself, a body that is no JSON only once it is written."""
    no_json = replace(start(91), body={"n": float("nan")})
    with ThreadPoolExecutor(8) as pool:
        bad = [pool.submit(put, service, 90, 90, cluster="c" * 200)]
        bad.append(pool.submit(service.call, no_json))
        good = [pool.submit(put, service, n, n) for n in range(1, 21)]
        assert all(one.result().created for one in good)
        for one, words in zip(bad, ("1 to 128 characters", "is not JSON"), strict=True):
            with pytest.raises(BadTask, match=words):
                one.result()
    assert len(claim(service, 99)) == 20


def test_a_claim_of_nothing_is_answered_at_once(service: QueueService) -> None:
    assert service.call(Claim(owner="w")) == ()


def test_a_build_claimed_past_one_that_was_parked_knows_its_owner_and_can_be_stopped(
    service: QueueService,
) -> None:
    put(service, 1, 1)
    put(service, 2, 2)
    put(service, 3, 2, blocked_by=(1,))
    put(service, 4, 1, blocked_by=(2, 1))
    claimed = claim(service, 4, owner="ada")
    assert [look(service, one.id).owner for one in claimed] == ["ada"] * len(claimed)
    for one in claimed:
        assert service.call(Stop(build_id=int(one.id))).was is State.RUNNING
