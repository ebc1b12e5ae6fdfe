"""Verbs of a SQL queue as a part of somebody else's transaction, and two that it needs there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

from labs.task_queue.errors import BadTask, ClaimLost
from labs.task_queue.sql import SqlQueue
from labs.task_queue.stages import Move, Stage
from labs.task_queue.tasks import LONGEST_DELAY_S, Moved
from labs.waiting import wait_until


@pytest.fixture(params=["sqlite", "postgres"])
def queue(request: pytest.FixtureRequest) -> Iterator[SqlQueue]:
    """A queue in either kind of database, with three tasks."""
    wanted = {"sqlite": "sqlite_url", "postgres": "fresh_database"}[request.param]
    with SqlQueue.connect(str(request.getfixturevalue(wanted)), "q") as queue:
        queue.put({"a": 1, "b": 2, "c": 3})
        yield queue


class Told:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.moves: list[tuple[str, Move]] = []

    def record(self, moves: Sequence[Moved]) -> None:
        self.moves += [(one.id, one.move) for one in moves]


class Undone(Exception):
    """Raised in the middle of a transaction."""


def test_all_verbs_of_a_transaction_are_made_together(queue: SqlQueue) -> None:
    told = Told()
    with queue.database.session(transaction=True) as session:
        part = queue.within(session, told)
        part.put({"d": 4})
        claim, other = part.get(2, lease_s=60, owner="o")
        part.success(claim, owner="o")
        part.release(other, owner="o")

        assert part.sizes() == {"WAITING": 3, "PROCESSING": 0, "SUCCESS": 1, "FAIL": 0}

    assert queue.lookup_status("a") is Stage.SUCCESS
    assert told.moves == [
        ("d", Move.PUT),
        ("a", Move.CLAIM),
        ("b", Move.CLAIM),
        ("a", Move.SUCCEED),
        ("b", Move.RELEASE),
    ]


def test_none_of_them_is_made_if_the_transaction_is_undone(queue: SqlQueue) -> None:
    with suppress(Undone), queue.database.session(transaction=True) as session:
        part = queue.within(session)
        part.put({"d": 4})
        part.success(part.get(1)[0])
        part.postpone(["b"], 60)
        raise Undone

    assert queue.sizes() == {"WAITING": 3, "PROCESSING": 0, "SUCCESS": 0, "FAIL": 0}
    assert [id_ for id_, _ in queue.peek(9)] == ["a", "b", "c"]


def test_a_refusal_in_a_transaction_leaves_the_rest_of_it(queue: SqlQueue) -> None:
    claim = queue.get(1, lease_s=60)[0]
    with queue.database.session(transaction=True) as session:
        part = queue.within(session)
        part.put({"d": 4})
        with pytest.raises(ClaimLost):
            part.success(claim, owner="somebody else")

    assert queue.size(Stage.WAITING) == 3


def test_leases_that_have_run_out_are_told_in_the_transaction_that_finds_them(
    queue: SqlQueue,
) -> None:
    queue.get(1, lease_s=0.001)
    told = Told()

    def told_when_looking() -> bool:
        with queue.database.session(transaction=True) as session:
            queue.within(session, told).sizes()
        return bool(told.moves)

    wait_until(told_when_looking, 10)
    assert told.moves == [("a", Move.EXPIRE)]


def test_take_claims_just_these_as_far_as_they_can_be_claimed(queue: SqlQueue) -> None:
    queue.put({"urgent": 0}, priority=5)
    queue.postpone(["b"], 60)
    queue.success(queue.get(1)[0])  # the urgent one

    taken = queue.take(["c", "urgent", "a", "b", "nobody"], lease_s=60, owner="o")

    assert [(one.id, one.body, one.owner, one.attempt) for one in taken] == [
        ("a", 1, "o", 1),
        ("c", 3, "o", 1),
    ]
    queue.success(taken[0])
    assert queue.take(["a", "c"]) == []


def test_a_postponed_task_keeps_its_place_in_the_line(queue: SqlQueue) -> None:
    assert sorted(queue.postpone(["a", "b", "nobody"], LONGEST_DELAY_S)) == ["a", "b"]
    assert [id_ for id_, _ in queue.peek(9)] == ["c"]
    assert queue.lookup_status("a") is Stage.WAITING

    assert queue.postpone(["a"], 0) == ["a"]
    assert [id_ for id_, _ in queue.peek(9)] == ["a", "c"]


def test_what_is_in_work_is_not_postponed(queue: SqlQueue) -> None:
    claim = queue.get(1, lease_s=60, owner="o")[0]

    assert queue.postpone([claim.id], 60) == []
    queue.success(claim)


def test_a_delay_that_cannot_be_meant_is_refused(queue: SqlQueue) -> None:
    with pytest.raises(BadTask, match="delay_s"):
        queue.postpone(["a"], -1)
