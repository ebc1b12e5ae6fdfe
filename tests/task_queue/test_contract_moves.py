"""The table of moves, walked: each move is tried on a task in each stage, on every store.

It is made if, and only if, the table says so; else the task is left exactly as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from labs.task_queue.errors import WrongStage
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import MOVES, Move, Stage
from tests.task_queue.contract import HOUR_S, SOON_S, claim_one, wait_until_over

A = "a/task"


def refused(verb: Callable[[], object]) -> bool:
    """Whether the verb says so."""
    try:
        verb()
    except WrongStage as error:
        return A in str(error) and bool(error.remedy)
    return False


def run_out(queue: TaskQueue) -> None:
    """Wait until a lease has run out that is as long as A's, if A has one, and began later."""
    queue.put({"mark": 1}, priority=9)
    wait_until_over(claim_one(queue, lease_s=SOON_S))


# How each move is tried. True: somebody says that it was refused.
TRIES: dict[Move, Callable[[TaskQueue], bool | None]] = {
    Move.PUT: lambda queue: bool(queue.put_quietly({A: "new"}).present),
    Move.CLAIM: lambda queue: not queue.get(1),
    Move.SUCCEED: lambda queue: refused(lambda: queue.success(A)),
    Move.FAIL: lambda queue: refused(lambda: queue.fail(A)),
    Move.RETRY: lambda queue: refused(lambda: queue.fail(A)),
    Move.EXPIRE: run_out,
    Move.GIVE_UP: run_out,
    Move.RELEASE: lambda queue: refused(lambda: queue.release(A)),
    Move.REFUSE: lambda queue: refused(lambda: queue.refuse(A, reason="no")),
    Move.REQUEUE: lambda queue: not queue.requeue_quietly(A)[0],
    Move.PURGE: lambda queue: not queue.purge(timedelta()),
}
ATTEMPTS = {Move.RETRY: 5, Move.GIVE_UP: 1}
"""What a task must be put with, for these to be the moves that are made."""


def brought(queue: TaskQueue, move: Move, stage: Stage | None) -> None:
    """A, brought there; with a lease if it is to run out."""
    if stage is None:
        return
    queue.put({A: 1}, max_attempts=ATTEMPTS.get(move))
    if stage is Stage.WAITING:
        return
    leased = move in (Move.EXPIRE, Move.GIVE_UP)
    long = stage is not Stage.PROCESSING  # it is to be settled within its lease
    claim = claim_one(queue, lease_s=(HOUR_S if long else SOON_S) if leased else None)
    if stage is Stage.SUCCESS:
        queue.success(claim)
    if stage is Stage.FAIL:
        if move is Move.RETRY:  # which a failure would be, now
            queue.release(claim)
            queue.refuse(A, reason="no")
        else:
            queue.fail(claim)


def stage_of(queue: TaskQueue) -> Stage | None:
    try:
        return queue.lookup_status(A)
    except KeyError:
        return None


def test_each_move_has_a_way_to_be_tried() -> None:
    assert set(TRIES) == set(MOVES) == set(Move)


@pytest.mark.parametrize("stage", [None, *Stage])
@pytest.mark.parametrize("move", Move)
def test_a_move_is_made_if_and_only_if_the_table_says_so(
    queue: TaskQueue, move: Move, stage: Stage | None
) -> None:
    if stage is None and move in (Move.SUCCEED, Move.FAIL, Move.RETRY, Move.RELEASE, Move.REFUSE):
        with pytest.raises(KeyError, match=A):
            TRIES[move](queue)
        return
    brought(queue, move, stage)
    leased = move in (Move.EXPIRE, Move.GIVE_UP) and stage is Stage.PROCESSING
    before = None if stage is None or leased else queue.lookup_task(A)
    assert before is None or before.stage is stage
    refused = TRIES[move](queue)
    way = MOVES[move]
    if stage in way.sources:
        assert not refused
        assert stage_of(queue) is way.target
        if before and way.target is not None:
            assert queue.lookup_task(A).moves == before.moves + 1
    else:
        assert refused is not False
        assert before == (queue.lookup_task(A) if before else None)


def test_success_twice_or_of_what_has_failed_is_refused(queue: TaskQueue) -> None:
    queue.put({"a": 1, "b": 2})
    queue.get(2)
    queue.success("a", result=1)
    with pytest.raises(WrongStage, match=r"can't succeed: it is SUCCESS"):
        queue.success("a", result=2)
    with pytest.raises(WrongStage, match=r"can't fail: it is SUCCESS"):
        queue.fail("a")
    queue.fail("b")
    with pytest.raises(WrongStage, match=r"can't succeed: it is FAIL"):
        queue.success("b")
    assert queue.lookup_task("a").result == 1
