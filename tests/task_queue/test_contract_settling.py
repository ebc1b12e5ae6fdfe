"""Settling: one or many at once, each by itself; what is kept with a task that is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from labs.task_queue.errors import BadTask, ClaimLost, UnknownTask, WrongStage
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Fail, Success
from tests.task_queue.contract import HOUR_S, bring, claim_one

CLOCKS_APART = timedelta(seconds=5)
"""Between this process and whoever gives the store its time."""


def test_many_are_settled_at_once_each_in_its_own_way(queue: TaskQueue) -> None:
    queue.put(dict.fromkeys("abcd"))
    claims = queue.get(4, lease_s=HOUR_S)
    outcomes: list[Success | Fail] = [
        Success(claims[0], {"sum": 3}),
        Fail("b", "disk full", claims[1].owner),
        Success("c"),
        Fail(claims[3]),
    ]
    assert queue.settle(iter(outcomes)) == {}
    tasks = [queue.lookup_task(id_) for id_ in "abcd"]
    assert [task.stage for task in tasks] == [Stage.SUCCESS, Stage.FAIL] * 2
    assert [task.result for task in tasks] == [{"sum": 3}, None, None, None]
    assert [task.reason for task in tasks] == ["", "disk full", "", ""]


def test_those_that_cant_be_settled_are_named_and_the_others_are_settled(
    queue: TaskQueue,
) -> None:
    bring(queue, Stage.SUCCESS, "done")
    queue.put(dict.fromkeys(["mine", "his", "waiting"]))
    claim_one(queue, lease_s=HOUR_S)
    claim_one(queue, owner="him")
    outcomes = [Success(id_) for id_ in ("ghost", "done", "mine", "his", "waiting")]
    refused = queue.settle(outcomes)
    assert {id_: type(error) for id_, error in refused.items()} == {
        "ghost": UnknownTask,
        "done": WrongStage,
        "his": ClaimLost,
        "waiting": WrongStage,
    }
    assert queue.lookup_status("mine") is Stage.SUCCESS
    assert queue.sizes() == {"WAITING": 1, "PROCESSING": 1, "SUCCESS": 2, "FAIL": 0}


def test_nothing_is_settled_by_an_empty_batch(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    assert queue.settle([]) == {}
    queue.extend([], 1)
    queue.release([])
    assert queue.sizes()["WAITING"] == 1


def test_a_batch_of_many_hundred_is_settled(queue: TaskQueue) -> None:
    ids = [f"task-{n}" for n in range(300)]
    put = queue.put(dict.fromkeys(ids))
    assert (put, put.added) == (300, tuple(ids))
    claims = queue.get(300)
    assert [claim.id for claim in claims] == ids
    assert queue.settle([Success(claim) for claim in claims[:150]]) == {}
    assert queue.settle([Fail(claim) for claim in claims[150:]]) == {}
    assert queue.sizes() == {"WAITING": 0, "PROCESSING": 0, "SUCCESS": 150, "FAIL": 150}
    assert queue.requeue(ids[150:]) == ids[150:]


def test_each_step_of_a_task_has_its_time(queue: TaskQueue) -> None:
    begin = datetime.now(UTC)
    queue.put({"a": 1})
    new = queue.lookup_task("a")
    assert (new.claimed_at, new.settled_at, new.lease_ends) == (None, None, None)
    queue.success(claim_one(queue, lease_s=HOUR_S))
    task = queue.lookup_task("a")
    assert task.put_at == new.put_at == task.due
    assert task.claimed_at is not None
    assert task.settled_at is not None
    times = [task.put_at, task.claimed_at, task.settled_at]
    assert times == sorted(times)
    assert all(time.utcoffset() == timedelta() for time in times)
    assert begin - CLOCKS_APART <= times[0]
    assert times[-1] <= datetime.now(UTC) + CLOCKS_APART
    assert task.lease_ends is None


def test_everything_that_was_said_of_a_task_is_looked_up(queue: TaskQueue) -> None:
    queue.put({"a": [1]}, priority=3, delay_s=HOUR_S, max_attempts=4, backoff_s=2.5)
    task = queue.lookup_task("a")
    assert (task.id, task.stage, task.body) == ("a", Stage.WAITING, [1])
    assert (task.priority, task.max_attempts, task.backoff_s) == (3, 4, 2.5)
    assert (task.attempts, task.moves, task.owner) == (0, 1, None)
    assert (task.result, task.reason) == (None, "")


def test_a_claim_of_an_earlier_round_settles_nothing_though_nobody_is_named(
    queue: TaskQueue,
) -> None:
    queue.put({"a": 1})
    earlier = claim_one(queue)
    queue.fail(earlier)
    queue.requeue("a")
    later = claim_one(queue)
    with pytest.raises(ClaimLost):
        queue.success(earlier)
    queue.success(later)


def test_what_is_no_list_of_tasks_or_of_outcomes_is_refused(queue: TaskQueue) -> None:
    for no_list in 5, None, object():
        with pytest.raises(BadTask, match="must be a list"):
            queue.settle(no_list)  # type: ignore[arg-type]
        with pytest.raises(BadTask, match="must be a list"):
            queue.requeue(no_list)  # type: ignore[arg-type]
        with pytest.raises(BadTask, match="must be a list"):
            queue.extend(no_list, 1)  # type: ignore[arg-type]
    with pytest.raises(BadTask, match="is no outcome"):
        queue.settle(["a"])  # type: ignore[list-item]
