"""Attempts: counted at each claim; a failed task waits again while any are left, after a pause."""

from __future__ import annotations

from datetime import timedelta

from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import LONGEST_PAUSE_S, pause_s
from tests.task_queue.contract import HOUR_S, TIMEOUT_S, claim_one


def test_the_first_failure_is_final_unless_attempts_were_allowed(queue: TaskQueue) -> None:
    queue.put({"a": 1})
    queue.fail(claim_one(queue), reason="no such file")
    task = queue.lookup_task("a")
    assert (task.stage, task.attempts, task.max_attempts) == (Stage.FAIL, 1, None)
    assert task.reason == "no such file"


def test_a_failed_task_waits_again_until_its_attempts_are_used_up(queue: TaskQueue) -> None:
    queue.put({"a": 1}, max_attempts=3, backoff_s=0)
    for attempt in 1, 2, 3:
        claim = claim_one(queue, lease_s=HOUR_S)
        assert claim.attempt == attempt
        queue.fail(claim, reason=f"try {attempt}")
        task = queue.lookup_task("a")
        assert task.stage is (Stage.FAIL if attempt == 3 else Stage.WAITING)
        assert (task.attempts, task.reason) == (attempt, f"try {attempt}")
    assert queue.get() == []


def test_a_single_attempt_is_one(queue: TaskQueue) -> None:
    queue.put({"a": 1}, max_attempts=1)
    queue.fail(claim_one(queue))
    assert queue.lookup_status("a") is Stage.FAIL


def test_between_attempts_there_is_a_pause_which_doubles(queue: TaskQueue) -> None:
    queue.put({"a": 1, "b": 2}, max_attempts=9, backoff_s=HOUR_S / 4)
    queue.fail(claim_one(queue))
    assert [claim.id for claim in queue.get(5)] == ["b"], "a has its pause"
    assert queue.lookup_status("a") is Stage.WAITING
    assert [pause_s(10, attempt) for attempt in (1, 2, 3)] == [10, 20, 40]
    assert pause_s(10, 1000) == pause_s(1e9, 1) == LONGEST_PAUSE_S
    assert pause_s(0, 5) == 0


def test_the_pause_is_reckoned_from_the_failure_and_doubles_with_the_attempts(
    queue: TaskQueue,
) -> None:
    queue.put({"a": 1}, max_attempts=9, backoff_s=0.01)
    for attempt in 1, 2, 3, 4:
        (claim,) = queue.get(1, wait_s=TIMEOUT_S)
        queue.fail(claim)
        task = queue.lookup_task("a")
        assert task.claimed_at is not None
        assert task.due - task.claimed_at >= timedelta(seconds=pause_s(0.01, attempt))


def test_success_after_a_retry_leaves_no_reason(queue: TaskQueue) -> None:
    queue.put({"a": 1}, max_attempts=2, backoff_s=0)
    queue.fail(claim_one(queue), reason="once")
    queue.success(claim_one(queue), result=[2])
    task = queue.lookup_task("a")
    assert (task.reason, task.result, task.attempts) == ("", [2], 2)


def test_what_is_requeued_has_all_its_attempts_again_and_no_reason(queue: TaskQueue) -> None:
    queue.put({"a": 1}, max_attempts=2, backoff_s=0)
    for _ in range(2):
        queue.fail(claim_one(queue, owner="ada"), reason="no")
    queue.requeue("a")
    task = queue.lookup_task("a")
    assert (task.stage, task.attempts, task.reason) == (Stage.WAITING, 0, "")
    assert (task.owner, task.settled_at) == (None, None)
    queue.fail(claim_one(queue))
    assert queue.lookup_status("a") is Stage.WAITING


def test_what_is_refused_fails_with_a_reason_and_no_attempt(queue: TaskQueue) -> None:
    queue.put({"large": 1}, max_attempts=5)
    queue.put({"late": 1}, delay_s=HOUR_S)
    queue.refuse("large", reason="it needs 9 GPUs, and there are 4")
    queue.refuse("late", reason="not wanted any more")
    task = queue.lookup_task("large")
    assert (task.stage, task.attempts) == (Stage.FAIL, 0)
    assert task.reason == "it needs 9 GPUs, and there are 4"
    assert task.settled_at is not None
    assert queue.get() == []
    assert sorted(queue.requeue(["large", "late"])) == ["large", "late"]
    assert [id_ for id_, _ in queue.peek(5)] == ["large", "late"], "tried anew: without the delay"


REASONS = {
    "plain": ("no such file", "no such file"),
    "empty": ("", ""),
    "lines": ("a\nb\tc", "a\nb\tc"),
    "any character": ("Zoë '\"\\% \U0001f600", "Zoë '\"\\% \U0001f600"),
    "a NUL": ("a\0b", "a\\x00b"),
    "a lone surrogate": ("a\ud800b", "a\\ud800b"),
    "an exception": (ValueError("no"), "no"),
    "a long one": ("x" * 20_000, "x" * 10_000),
}


def test_no_reason_keeps_a_task_from_failing(queue: TaskQueue) -> None:
    for kind, (said, kept) in REASONS.items():
        queue.put({kind: 1})
        queue.fail(claim_one(queue), reason=said)  # type: ignore[arg-type]
        assert queue.lookup_task(kind).reason == kept
