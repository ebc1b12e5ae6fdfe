"""Long polls: woken at once, here and by other instances; who has gone takes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from labs.queue_service.errors import Overloaded
from labs.queue_service.messages import Claimed, State
from labs.queue_service.operations import Claim, GetStats, Operation, Tick
from labs.queue_service.service import QueueService
from labs.waiting import wait_until
from tests.queue_service.grounds import (
    TIMEOUT_S,
    Ground,
    ack,
    claim,
    claim_one,
    nack,
    put,
    start,
    state,
)

LONG_S = 600.0
"""Nobody waits so long: who is not woken does not come back within the test."""


def waiting(service: QueueService, n: int = 1) -> None:
    """Wait until so many claims are kept."""
    wait_until(lambda: len(service._kept) == n, TIMEOUT_S)


def poll(pool: ThreadPoolExecutor, service: QueueService, **options: Any) -> Future[list[Claimed]]:
    """Claim, and wait for something to claim."""
    return pool.submit(claim, service, wait_s=LONG_S, **options)


@pytest.fixture(autouse=True)
def nobody_looks_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiting claim that is not told comes back too late for the test."""
    monkeypatch.setattr("labs.queue_service.waiting.LOOK_S", LONG_S)


def test_a_start_wakes_a_claim_that_waits_for_its_cluster(service: QueueService) -> None:
    with ThreadPoolExecutor() as pool:
        other = poll(pool, service, cluster="gpu")
        here = poll(pool, service)
        waiting(service, 2)
        put(service, 1, 1)
        assert [one.id for one in here.result(TIMEOUT_S)] == ["1"]
        assert not other.done()
        put(service, 2, 2, cluster="gpu")
        assert [one.id for one in other.result(TIMEOUT_S)] == ["2"]


def test_a_start_in_one_instance_wakes_a_claim_in_another(postgres_ground: Ground) -> None:
    here, there = postgres_ground.open(), postgres_ground.open()
    with ThreadPoolExecutor() as pool:
        waited = poll(pool, there)
        waiting(there)
        put(here, 1, 1)
        assert [one.id for one in waited.result(TIMEOUT_S)] == ["1"]


ENDS: dict[str, Callable[[QueueService, Claimed], State]] = {
    "done": ack,
    "failed": lambda service, one: nack(service, one, final=True),
    "handed back": lambda service, one: nack(service, one, requeue=True),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_blocker_wakes_a_claim_that_waits(service: QueueService, end: str) -> None:
    put(service, 1, 1)
    put(service, 2, 2, cluster="gpu", blocked_by=(1,))
    blocker = claim_one(service)
    with ThreadPoolExecutor() as pool:
        waited = poll(pool, service, cluster="gpu")
        waiting(service)
        service.call(Tick())
        assert not waited.done()
        ENDS[end](service, blocker)
        woken = waited.result(TIMEOUT_S)
    # What was parked only at this claim may come first.
    assert [one.id for one in woken] == ["2"]


def test_a_claim_that_waits_and_gets_nothing_is_answered_when_its_time_is_up(
    service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.queue_service.waiting.LOOK_S", 0.1)
    begin = time.monotonic()
    assert claim(service, wait_s=0.4) == []
    assert time.monotonic() - begin >= 0.4


def test_what_time_brings_wakes_a_claim_too(
    service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.queue_service.waiting.LOOK_S", 0.1)
    put(service, 1, 1, delay_s=0.3)
    assert [one.id for one in claim(service, wait_s=TIMEOUT_S)] == ["1"]


def test_those_who_wait_are_fed_in_the_order_in_which_they_came(service: QueueService) -> None:
    with ThreadPoolExecutor() as pool:
        first = poll(pool, service, owner="first")
        waiting(service, 1)
        second = poll(pool, service, owner="second")
        waiting(service, 2)
        put(service, 1, 1)
        put(service, 2, 2)
        assert [one.id for one in first.result(TIMEOUT_S)] == ["1"]
        assert [one.id for one in second.result(TIMEOUT_S)] == ["2"]


def test_a_start_that_comes_together_with_a_claim_is_not_missed_by_it(
    service: QueueService,
) -> None:
    async def trial() -> list[object]:
        asked: list[Operation[object]] = [Claim(owner="w", wait_s=LONG_S), start(1)]
        # The writer can't go on meanwhile, and then finds both.
        with service.store.transaction():
            waited = [asyncio.ensure_future(service.do(one)) for one in asked]
            await asyncio.sleep(0)
        return await asyncio.wait_for(asyncio.gather(*waited), TIMEOUT_S)

    claims, _ = asyncio.run(trial())
    assert [one.id for one in claims] == ["1"]  # type: ignore[attr-defined]


# --- On an event loop, and who goes away --------------------------------------------------------


async def kept(service: QueueService, n: int) -> None:
    """As `waiting`, on the loop."""
    await asyncio.to_thread(waiting, service, n)


def test_a_claim_that_was_cancelled_takes_nothing(service: QueueService) -> None:
    async def trial() -> None:
        task = asyncio.ensure_future(service.do(Claim(owner="gone", wait_s=LONG_S)))
        await kept(service, 1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert (await service.do(start(1))).state is State.QUEUED

    asyncio.run(trial())
    assert state(service, 1) is State.QUEUED
    (claimed,) = claim(service)
    assert claimed.attempt == 1


def test_what_was_claimed_for_somebody_who_has_just_gone_is_handed_back(
    service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(service, 1, 1)
    carried_out = service._writer._carry_out
    tasks: list[asyncio.Task[Any]] = []

    def cancel_then_tell(asked: object) -> object:
        done = carried_out(asked)  # type: ignore[arg-type]
        for task in tasks:
            task.get_loop().call_soon_threadsafe(task.cancel)
        return done

    monkeypatch.setattr(service._writer, "_carry_out", cancel_then_tell)

    async def trial() -> None:
        task = asyncio.ensure_future(service.do(Claim(owner="gone")))
        tasks.append(task)
        with pytest.raises(asyncio.CancelledError):
            await task
        tasks.clear()

        def is_back() -> bool:
            return state(service, 1) is State.QUEUED

        await asyncio.to_thread(wait_until, is_back, TIMEOUT_S)

    asyncio.run(trial())
    assert claim_one(service).attempt == 1


def test_many_callers_of_a_loop_are_answered_each_with_its_own(service: QueueService) -> None:
    async def trial() -> list[str]:
        operations: list[Operation[object]] = [start(build, build) for build in range(1, 101)]
        answers = await asyncio.gather(*map(service.do, operations))
        return [answer.id for answer in answers]  # type: ignore[attr-defined]

    assert asyncio.run(trial()) == [str(build) for build in range(1, 101)]


def test_a_service_that_closes_answers_those_who_wait_and_commits_what_it_has(
    ground: Ground,
) -> None:
    service = ground.open()
    with ThreadPoolExecutor(30) as pool:
        waited = poll(pool, service, cluster="gpu")
        waiting(service)
        starts = [pool.submit(put, service, build, build) for build in range(1, 21)]
        accepted = [one.result() for one in starts]
        service.close()
        assert waited.result(TIMEOUT_S) == []
    assert len(claim(ground.open(), 99)) == len(accepted)
    with pytest.raises(Overloaded, match="is closing"):
        put(service, 99)


def test_more_than_may_wait_are_told_when_to_come_again(ground: Ground) -> None:
    service = ground.open(max_waiting=3)

    async def trial() -> list[object]:
        # The writer can't go on meanwhile: all but three find its line full.
        with service.store.transaction():
            asked = [asyncio.ensure_future(service.do(start(n, n))) for n in range(20)]
            await asyncio.sleep(0)
        return list(await asyncio.gather(*asked, return_exceptions=True))

    answers = asyncio.run(trial())
    refused = [one for one in answers if isinstance(one, Overloaded)]
    assert 12 <= len(refused) <= 17
    assert all(one.retry_after_s > 0 for one in refused)
    counts = service.call(GetStats()).counts
    assert counts[State.QUEUED] == 20 - len(refused)
