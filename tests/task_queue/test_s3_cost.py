"""What a verb costs: so many requests, however much is stored, and in whatever stage it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from labs.task_queue.s3 import S3Queue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Success
from tests.task_queue.s3 import S3Place

MANY = 250
"""Of each: settled, processed, delayed, waiting."""
HIGH = 100


@pytest.fixture
def queue(s3_place: S3Place) -> Iterator[S3Queue]:
    """A handle that counts its requests."""
    with s3_place.open() as queue:
        yield queue


def fill(queue: S3Queue) -> None:
    """A thousand tasks, in two thousand objects, that are none of a verb's business."""
    queue.put({f"settled/{n}": n for n in range(MANY)})
    claims = queue.get(MANY)
    assert queue.settle([Success(claim) for claim in claims]) == {}
    queue.put({f"held/{n}": n for n in range(MANY)})
    assert len(queue.get(MANY, lease_s=3600)) == MANY
    queue.put({f"delayed/{n}": n for n in range(MANY)}, delay_s=3600)
    queue.put({f"waits/{n}": n for n in range(MANY)})


def cost(queue: S3Queue, verb: Callable[[], object]) -> int:
    """How many requests the verb makes."""
    before = queue._bucket.requests
    verb()
    return queue._bucket.requests - before


def costs(queue: S3Queue, mark: str) -> dict[str, int]:
    """Of each verb, on a task of its own that is at the head of the line."""
    one, other, third = f"{mark}/one", f"{mark}/other", f"{mark}/third"
    found = {"put": cost(queue, lambda: queue.put({one: 1}, priority=HIGH))}
    found["put what is there"] = cost(queue, lambda: queue.put_quietly({one: 1}))
    found["lookup"] = cost(queue, lambda: queue.lookup_status(one))
    found["peek"] = cost(queue, lambda: queue.peek())
    found["get"] = cost(queue, lambda: queue.get(owner="me", lease_s=60))
    found["extend"] = cost(queue, lambda: queue.extend(one, 60, owner="me"))
    found["release"] = cost(queue, lambda: queue.release(one, owner="me"))
    queue.get(owner="me")
    found["success"] = cost(queue, lambda: queue.success(one, owner="me"))
    queue.put({other: 1}, priority=HIGH)
    queue.get(owner="me")
    found["fail"] = cost(queue, lambda: queue.fail(other, owner="me"))
    found["requeue"] = cost(queue, lambda: queue.requeue(other))
    queue.put({third: 1}, priority=HIGH)
    found["refuse"] = cost(queue, lambda: queue.refuse(third, reason="no"))
    return found


def test_a_verb_makes_as_many_requests_where_thousands_of_objects_are_stored(
    queue: S3Queue,
) -> None:
    few = costs(queue, "before")
    assert few == {
        "put": 2,
        "put what is there": 3,
        "lookup": 2,
        "peek": 4,
        "get": 7,
        "extend": 4,
        "release": 4,
        "success": 4,
        "fail": 4,
        "requeue": 4,
        "refuse": 5,
    }
    fill(queue)
    assert costs(queue, "after") == few
    assert queue.sizes()["SUCCESS"] >= MANY


def test_what_a_batch_costs_for_each_task(queue: S3Queue) -> None:
    assert cost(queue, lambda: queue.put({f"{n}": n for n in range(50)})) == 100
    assert cost(queue, lambda: queue.get(50)) == 3 + 3 * 50 + 1
    assert cost(queue, lambda: queue.sizes()) <= 9


def test_the_size_of_processing_costs_what_is_processed_and_no_more(queue: S3Queue) -> None:
    queue.put({f"{n}": n for n in range(20)})
    queue.get(3)
    assert cost(queue, lambda: queue.size(Stage.PROCESSING)) == 2 + 3


def test_passed_delays_and_ended_leases_are_let_count_a_few_at_a_time(queue: S3Queue) -> None:
    """One `get` can't be made to wait for all that came due at once; they all come, in the end."""
    queue.put({f"{n}": n for n in range(100)}, delay_s=0.001)
    assert cost(queue, lambda: queue.get(1)) < 200
    seen = 1
    while claims := queue.get(10):
        seen += len(claims)
    assert seen == 100


def test_a_purge_leaves_nothing(queue: S3Queue) -> None:
    queue.put({f"{n}": n for n in range(30)})
    for claim in queue.get(30):
        queue.success(claim)
    assert queue.purge(timedelta(hours=1)) == 0
    assert queue.purge(timedelta()) == 30
    assert list(queue._bucket.list_all(queue._moves.base)) == []
    assert queue.size(Stage.SUCCESS) == 0
