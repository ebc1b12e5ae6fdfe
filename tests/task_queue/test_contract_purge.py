"""Purge: what is settled is forgotten after a while; what is not settled never is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from labs.task_queue.errors import BadTask, UnknownTask
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from tests.task_queue.contract import HOUR_S, bring, claim_one


def test_only_what_is_settled_is_purged(queue: TaskQueue) -> None:
    bring(queue, Stage.SUCCESS, "done/1", "done/2")
    bring(queue, Stage.FAIL, "failed")
    bring(queue, Stage.PROCESSING, "held")
    queue.put({"waits": 1})
    assert queue.purge(timedelta()) == 3
    assert queue.sizes() == {"WAITING": 1, "PROCESSING": 1, "SUCCESS": 0, "FAIL": 0}
    with pytest.raises(UnknownTask):
        queue.lookup_item("done/1")
    assert queue.purge(timedelta()) == 0


def test_what_was_settled_lately_stays(queue: TaskQueue) -> None:
    bring(queue, Stage.SUCCESS, "done")
    for age in timedelta(hours=1), timedelta(days=10_000), timedelta.max:
        assert queue.purge(age) == 0
    assert queue.lookup_status("done") is Stage.SUCCESS


def test_what_is_requeued_is_not_settled(queue: TaskQueue) -> None:
    bring(queue, Stage.FAIL, "a", "b")
    queue.requeue("a")
    assert queue.purge(timedelta()) == 1
    assert queue.get() == [("a", {"n": 1})]


def test_an_id_that_was_purged_is_new_again(queue: TaskQueue) -> None:
    bring(queue, Stage.SUCCESS, "a")
    queue.purge(timedelta())
    assert queue.put({"a": "anew"}) == 1
    task = queue.lookup_task("a")
    assert (task.body, task.attempts, task.moves, task.stage) == ("anew", 0, 1, Stage.WAITING)
    assert claim_one(queue, lease_s=HOUR_S).attempt == 1


def test_an_age_is_a_timedelta(queue: TaskQueue) -> None:
    bring(queue, Stage.SUCCESS, "a")
    for age in 5, None, "1 day", timedelta(seconds=-1):
        with pytest.raises(BadTask, match="older_than must be a timedelta"):
            queue.purge(age)  # type: ignore[arg-type]
    assert queue.lookup_status("a") is Stage.SUCCESS
