"""Order: higher priority first, then the order of the puts; a task keeps its place for life."""

from __future__ import annotations

import pytest

from labs.task_queue.errors import BadTask
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import PRIORITIES
from tests.task_queue.contract import (
    HOUR_S,
    SOON_S,
    claim_one,
    wait_until_claimable,
    wait_until_stage,
)
from tests.task_queue.stores import Store


def line(queue: TaskQueue) -> list[str]:
    """The ids that can be claimed, in order."""
    return [id_ for id_, _ in queue.peek(100)]


def test_first_come_first_served_within_a_put_and_between_puts(store: Store) -> None:
    one, other = store.open(), store.open()
    one.put(dict.fromkeys("edcba"))
    other.put(dict.fromkeys("EDCBA"))
    one.put(dict.fromkeys("10"))
    assert "".join(line(other)) == "edcbaEDCBA10"
    assert "".join(one.get()[0].id for _ in range(12)) == "edcbaEDCBA10"


def test_many_are_in_order(queue: TaskQueue) -> None:
    ids = [f"{n * 7919 % 1000:03}" for n in range(300)]
    for start in range(0, 300, 60):
        queue.put(dict.fromkeys(ids[start : start + 60]))
    assert [claim.id for _ in range(6) for claim in queue.get(50)] == ids


def test_higher_priorities_come_first_and_equal_ones_in_order(queue: TaskQueue) -> None:
    queue.put(dict.fromkeys("ab"))
    queue.put(dict.fromkeys("cd"), priority=7)
    queue.put(dict.fromkeys("ef"), priority=-7)
    queue.put(dict.fromkeys("gh"), priority=7)
    queue.put({"top": 1}, priority=PRIORITIES[-1])
    queue.put({"last": 1}, priority=PRIORITIES[0])
    order = ["top", *"cdghabef", "last"]
    assert line(queue) == order
    assert [claim.id for claim in queue.get(20)] == order
    assert queue.lookup_task("c").priority == 7


def test_a_task_comes_back_to_its_old_place_whatever_brings_it_back(queue: TaskQueue) -> None:
    ids = ["released", "retried", "requeued", "expired", "fresh"]
    queue.put(dict.fromkeys(ids[:1]))
    queue.put(dict.fromkeys(ids[1:2]), max_attempts=2, backoff_s=0)
    queue.put(dict.fromkeys(ids[2:]))
    released, retried, requeued = queue.get(3)
    claim_one(queue, lease_s=SOON_S)
    wait_until_stage(queue, "expired", Stage.WAITING)
    queue.fail(requeued)
    queue.requeue("requeued")
    queue.fail(retried)
    queue.release(released)
    assert line(queue) == ids
    assert [claim.id for claim in queue.get(5)] == ids


def test_what_is_delayed_waits_but_is_neither_seen_nor_claimed(queue: TaskQueue) -> None:
    queue.put({"later": 1}, delay_s=HOUR_S, priority=9)
    queue.put({"now": 1})
    assert queue.sizes()["WAITING"] == 2
    assert sorted(queue.lookup_state(Stage.WAITING)) == ["later", "now"]
    assert line(queue) == ["now"]
    assert [claim.id for claim in queue.get(5)] == ["now"]
    assert queue.get(5) == []
    assert (queue.lookup_task("later").due - queue.lookup_task("later").put_at).seconds == HOUR_S


def test_a_delay_passes_and_then_its_priority_and_its_put_count(queue: TaskQueue) -> None:
    queue.put({"was delayed": 1}, delay_s=SOON_S)
    queue.put({"urgent": 1}, delay_s=SOON_S, priority=1)
    queue.put({"put last": 1})
    wait_until_claimable(queue, "urgent", "was delayed", "put last")


NO_NUMBERS: dict[str, list[object]] = {
    "priority": [PRIORITIES[0] - 1, PRIORITIES[-1] + 1, 1.0, "1", None, True],
    "delay_s": [-1, float("nan"), float("inf"), "1", None, 1e12, 10**400, True],
    "backoff_s": [-1, float("nan"), "1", None, 10**400],
    "max_attempts": [0, -1, 1.5, "1", True],
}


def test_numbers_that_cant_be_meant_are_refused(queue: TaskQueue) -> None:
    for option, values in NO_NUMBERS.items():
        for value in values:
            with pytest.raises(BadTask, match=f"^{option} must be a"):
                queue.put({"a": 1}, **{option: value})  # type: ignore[arg-type]
    assert queue.sizes()["WAITING"] == 0


def test_a_number_of_tasks_is_a_whole_one(queue: TaskQueue) -> None:
    for verb in queue.get, queue.peek:
        for n in -1, 1.0, "1", None, True:
            with pytest.raises(BadTask, match=r"^n_items must be a whole number, 0 or more"):
                verb(n)  # type: ignore[arg-type]


def test_who_asks_for_more_than_anybody_has_gets_all(queue: TaskQueue) -> None:
    queue.put({"a": 1, "b": 2})
    assert queue.lookup_state(Stage.WAITING, limit=10**30) == ["a", "b"]
    assert queue.get(10**30) == [("a", 1), ("b", 2)]
