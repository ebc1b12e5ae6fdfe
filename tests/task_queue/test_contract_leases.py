"""Leases and owners: a claimed task is its owner's alone, until the lease has run out."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from labs.task_queue.errors import BadTask, ClaimLost, TaskError, UnknownTask, WrongStage
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import GAVE_UP, Fail, Success
from tests.task_queue.contract import HOUR_S, SOON_S, claim_one, wait_until_over, wait_until_stage
from tests.task_queue.stores import Store


def test_a_claim_says_how_it_is_held(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    claim = claim_one(queue, lease_s=HOUR_S, owner="ada")
    task = queue.lookup_task("a")
    assert (claim.id, claim.body, claim.owner, claim.attempt) == ("a", 1, "ada", 1)
    assert (task.owner, task.moves, task.lease_ends) == ("ada", claim.move, claim.lease_ends)
    assert task.lease_ends is not None
    assert task.claimed_at is not None
    assert task.lease_ends - task.claimed_at == timedelta(seconds=HOUR_S)


def test_a_claim_can_be_sent_to_another_process(queue: TaskQueue) -> None:
    queue.put({"a": {"n": 1}})
    claim = claim_one(queue, lease_s=HOUR_S)
    sent = pickle.loads(pickle.dumps(claim))  # noqa: S301 - our own
    assert (sent, vars(sent)) == (claim, vars(claim))
    queue.success(sent)


def test_a_task_without_owner_or_lease_is_held_for_ever_and_anybody_settles_it(
    store: Store,
) -> None:
    one, other = store.open(), store.open()
    one.put({"a": 1})
    claim = claim_one(one)
    assert (claim.owner, claim.lease_ends) == (None, None)
    other.success("a")
    assert one.lookup_status("a") is Stage.SUCCESS


def test_with_a_lease_and_no_name_the_handle_is_the_owner(store: Store) -> None:
    one, other = store.open(), store.open()
    one.put({"a": 1, "b": 2})
    claim = claim_one(one, lease_s=HOUR_S)
    assert claim.owner == one.identity != other.identity
    with pytest.raises(ClaimLost, match=r"is not yours: .* has claimed it"):
        other.success("a")
    one.success("a")
    other.success(claim_one(one, lease_s=HOUR_S))  # who has the claim itself holds the task


def test_only_its_owner_moves_a_task_and_all_others_leave_it_as_it_is(store: Store) -> None:
    one, other = store.open(), store.open()
    one.put({"a": 1})
    claim_one(one, owner="ada")
    before = one.lookup_task("a")
    verbs: list[Callable[[], None]] = [
        lambda: other.success("a"),
        lambda: other.success("a", owner="bob"),
        lambda: other.fail("a", owner="bob"),
        lambda: other.extend("a", HOUR_S, owner="bob"),
        lambda: other.release("a", owner="bob"),
    ]
    for verb in verbs:
        with pytest.raises(ClaimLost, match="ada has claimed it"):
            verb()
    assert one.lookup_task("a") == before
    other.success("a", owner="ada")


def test_a_lease_that_has_run_out_lets_the_task_wait_again_with_its_attempt_counted(
    queue: TaskQueue,
) -> None:
    queue.put({"a": 1})
    first = claim_one(queue, lease_s=SOON_S)
    wait_until_stage(queue, "a", Stage.WAITING)
    assert queue.sizes() == {"WAITING": 1, "PROCESSING": 0, "SUCCESS": 0, "FAIL": 0}
    assert queue.lookup_state(Stage.PROCESSING) == []
    task = queue.lookup_task("a")
    assert (task.attempts, task.lease_ends) == (1, None)
    second = claim_one(queue, lease_s=HOUR_S)
    assert (second.attempt, second.id) == (2, "a")
    assert second.move > first.move


@pytest.mark.parametrize("look", ["sizes", "status", "list", "peek", "get"])
def test_whoever_looks_first_sees_that_a_lease_has_run_out(store: Store, look: str) -> None:
    holder, looker = store.open(), store.open()
    holder.put({"a": 1, "z": 2})
    for claim in holder.get(2, lease_s=SOON_S):
        wait_until_over(claim)
    if look == "sizes":
        assert looker.sizes()["WAITING"] == 2
    elif look == "status":
        assert looker.lookup_status("a") is Stage.WAITING
    elif look == "list":
        assert sorted(looker.lookup_state(Stage.WAITING)) == ["a", "z"]
    elif look == "peek":
        assert looker.peek(3) == [("a", 1), ("z", 2)]
    else:
        assert looker.get(3) == [("a", 1), ("z", 2)]


@pytest.mark.parametrize("again", ["waiting", "claimed", "claimed by the same", "done"])
def test_who_comes_after_the_lease_has_run_out_is_refused(store: Store, again: str) -> None:
    late, next_ = store.open(), store.open()
    late.put({"a": 1})
    stale = claim_one(late, lease_s=SOON_S, owner="late")
    wait_until_stage(next_, "a", Stage.WAITING)
    if again != "waiting":
        owner = "late" if again == "claimed by the same" else "next"
        claim = claim_one(next_, lease_s=HOUR_S, owner=owner)
        if again == "done":
            next_.success(claim, result="the right one")
    before = next_.lookup_task("a")
    verbs: list[Callable[[], None]] = [
        lambda: late.success(stale, result="stale"),
        lambda: late.fail(stale, reason="stale"),
        lambda: late.extend(stale, HOUR_S),
        lambda: late.release(stale),
    ]
    for verb in verbs:
        with pytest.raises(ClaimLost):
            verb()
    assert next_.lookup_task("a") == before


def test_by_its_id_too_the_late_owner_is_told_that_the_claim_is_lost(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    claim_one(queue, lease_s=SOON_S)
    wait_until_stage(queue, "a", Stage.WAITING)
    with pytest.raises(ClaimLost, match="lease ran out"):
        queue.success("a")


def test_an_extended_lease_ends_later(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    for lease_s in 0.2, 2, 20:  # a machine may be so slow that the lease is over by then
        claim = claim_one(queue, lease_s=lease_s)
        with suppress(ClaimLost):
            queue.extend(claim, HOUR_S)
            break
    wait_until_over(claim)
    assert queue.sizes()["PROCESSING"] == 1
    task = queue.lookup_task("a")
    assert claim.lease_ends is not None
    assert task.lease_ends is not None
    assert task.lease_ends > claim.lease_ends
    assert task.moves == claim.move, "to extend is no move"
    queue.success(claim)


def test_many_leases_are_extended_at_once_and_one_may_be_shortened(queue: TaskQueue) -> None:
    queue.put(dict.fromkeys("abc"))
    claims = queue.get(3, lease_s=HOUR_S)
    queue.extend([claims[0], "b"], 2 * HOUR_S)
    queue.extend(claims[2], SOON_S)
    wait_until_stage(queue, "c", Stage.WAITING)
    assert queue.sizes()["PROCESSING"] == 2


def test_of_many_that_are_extended_or_released_the_good_ones_are(queue: TaskQueue) -> None:
    queue.put(dict.fromkeys("abc"))
    queue.get(2, lease_s=HOUR_S)
    with pytest.raises(UnknownTask):
        queue.release(["ghost", "a", "c"])
    assert queue.lookup_status("a") is Stage.WAITING
    with pytest.raises(WrongStage, match="can't be extended: it is WAITING"):
        queue.extend(["c", "b", "ghost"], 2 * HOUR_S)
    left = queue.lookup_task("b").lease_ends
    claimed = queue.lookup_task("b").claimed_at
    assert left is not None
    assert claimed is not None
    assert left - claimed > timedelta(seconds=HOUR_S + 1)


def test_a_task_that_is_held_without_a_lease_gets_one_by_extending(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    claim = claim_one(queue)
    queue.extend(claim, SOON_S)
    wait_until_stage(queue, "a", Stage.WAITING)


def test_what_is_released_waits_again_and_the_attempt_does_not_count(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    queue.release(claim_one(queue, lease_s=HOUR_S))
    assert queue.lookup_task("a").attempts == 0
    assert queue.lookup_task("a").lease_ends is None
    assert claim_one(queue).attempt == 1


def test_what_is_released_with_a_delay_comes_back_after_it(queue: TaskQueue) -> None:
    queue.put(dict.fromkeys("ab"))
    queue.release(queue.get(1), delay_s=HOUR_S)
    assert [id_ for id_, _ in queue.peek(5)] == ["b"]


def test_a_lease_that_runs_out_in_the_last_attempt_fails_the_task_with_a_reason(
    queue: TaskQueue,
) -> None:
    queue.put({"a": 1}, max_attempts=2)
    for _ in range(2):
        claim = claim_one(queue, lease_s=SOON_S)
        stage = Stage.FAIL if claim.attempt == 2 else Stage.WAITING
        wait_until_stage(queue, "a", stage)
    task = queue.lookup_task("a")
    assert (task.attempts, task.reason) == (2, GAVE_UP)
    assert task.settled_at is not None
    with pytest.raises(TaskError):
        queue.success(claim)
    assert queue.requeue("a") == ["a"]
    assert claim_one(queue).attempt == 1


def test_leases_that_run_out_never_fail_a_task_without_a_limit(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    for attempt in 1, 2, 3, 4:
        assert claim_one(queue, lease_s=0.001).attempt == attempt
        wait_until_stage(queue, "a", Stage.WAITING)


def test_a_lease_is_a_number_of_seconds(queue: TaskQueue) -> None:
    queue.put({"a": 1, "b": 2})
    claim = claim_one(queue)
    for lease_s in 0, -1, float("nan"), float("inf"), "1", True:
        with pytest.raises(BadTask, match="lease_s must be a number"):
            queue.get(1, lease_s=lease_s)  # type: ignore[arg-type]
        with pytest.raises(BadTask, match="lease_s must be a number"):
            queue.extend(claim, lease_s)  # type: ignore[arg-type]


def test_an_owner_has_a_name(queue: TaskQueue) -> None:
    queue.put({"a": 1, "b": 2})
    queue.get()
    for owner in "", "a" * 513, 5, "a\0", "\ud800":
        for lease_s in None, HOUR_S:
            with pytest.raises(BadTask, match="An owner"):
                queue.get(1, lease_s=lease_s, owner=owner)  # type: ignore[arg-type]
        with pytest.raises(BadTask, match="An owner"):
            queue.success("a", owner=owner)  # type: ignore[arg-type]


def test_an_owner_may_have_any_name(queue: TaskQueue) -> None:
    owners = ["controller 1/zoë \U0001f600", "x" * 512, "a'; --", "%", "\n"]
    for owner in owners:
        queue.put({owner: 1})
        assert claim_one(queue, owner=owner).owner == queue.lookup_task(owner).owner == owner
        with pytest.raises(ClaimLost):
            queue.success(owner, owner="another")
        queue.success(owner, owner=owner)


def test_the_same_task_twice_in_one_call_is_refused(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    claim = claim_one(queue)
    with pytest.raises(BadTask, match="'a' is given twice"):
        queue.settle([Success("a"), Fail(claim)])
    with pytest.raises(BadTask, match="'a' is given twice"):
        queue.release(["a", claim])
    with pytest.raises(BadTask, match="'a' is given twice"):
        queue.extend(["a", "a"], 1)
    assert queue.lookup_status("a") is Stage.PROCESSING
