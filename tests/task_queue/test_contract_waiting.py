"""Waiting for a task: a put, a delay, a lease that has run out end it, and the deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from labs.task_queue.errors import BadTask
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim
from tests.task_queue.contract import HOUR_S, SOON_S, TIMEOUT_S, claim_one
from tests.task_queue.stores import Store


def waiting(queue: TaskQueue) -> tuple[ThreadPoolExecutor, Future[list[Claim]]]:
    """A thread that has begun to wait for a task, and what it gets."""
    begun = threading.Event()

    def wait() -> list[Claim]:
        begun.set()
        return queue.get(1, wait_s=TIMEOUT_S)

    pool = ThreadPoolExecutor(1)
    future = pool.submit(wait)
    begun.wait(TIMEOUT_S)
    return pool, future


@pytest.mark.parametrize("how", ["put", "requeue", "release"])
def test_a_waiter_is_woken_by_another_handle(store: Store, how: str) -> None:
    one, other = store.open(), store.open()
    wakers: dict[str, Callable[[], object]] = {"put": lambda: other.put({"a": 1})}
    if how != "put":
        other.put({"a": 1})
        claim = claim_one(other)
        wakers["release"] = lambda: other.release(claim)
        if how == "requeue":
            other.fail(claim)
            wakers["requeue"] = lambda: other.requeue("a")
    pool, future = waiting(one)
    with pool:
        wakers[how]()
        assert future.result(TIMEOUT_S) == [("a", 1)]


def test_a_waiter_gets_what_a_delay_holds_back(queue: TaskQueue) -> None:
    queue.put({"a": 1}, delay_s=SOON_S)
    assert queue.get(1, wait_s=TIMEOUT_S) == [("a", 1)]


def test_a_waiter_gets_what_a_lease_that_runs_out_gives_free(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    claim_one(queue, lease_s=SOON_S)
    (claim,) = queue.get(1, wait_s=TIMEOUT_S)
    assert (claim.id, claim.attempt) == ("a", 2)


def test_who_waits_for_nothing_gets_nothing_in_the_end(queue: TaskQueue) -> None:
    queue.put({"later": 1}, delay_s=HOUR_S)
    begin_s = time.monotonic()
    assert queue.get(1, wait_s=0.1) == []
    assert time.monotonic() - begin_s >= 0.1
    assert queue.lookup_status("later") is Stage.WAITING


def test_who_finds_a_task_does_not_wait_for_more(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    assert queue.get(5, wait_s=HOUR_S) == [("a", 1)]


def test_of_many_waiters_each_gets_its_own(store: Store) -> None:
    handles = [store.open() for _ in range(3)]
    waiters = [waiting(handle) for handle in handles]
    store.open().put(dict.fromkeys("abc"))
    claims = [future.result(TIMEOUT_S) for _, future in waiters]
    for pool, _ in waiters:
        pool.shutdown()
    assert sorted(claim.id for (claim,) in claims) == ["a", "b", "c"]


def test_a_wait_is_a_number_of_seconds(queue: TaskQueue) -> None:
    for wait_s in -1, float("nan"), "1", None:
        with pytest.raises(BadTask, match="wait_s must be a number"):
            queue.get(1, wait_s=wait_s)  # type: ignore[arg-type]
