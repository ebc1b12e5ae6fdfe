"""Promises of a trial on a log: what is kept, broken, and cannot be said; journals told by hand."""

from __future__ import annotations

import pytest

from labs.judge.history import History
from labs.judge.promises import PROMISES
from labs.judge.rules.finding import Finding
from labs.judge.verdicts import Outcome
from tests.judge.log_tale import LogTale


def found(tale: LogTale, promise: str) -> Finding:
    """What the rule of this promise finds."""
    (rule,) = (one.rule for one in PROMISES["request-handler"] if one.id == promise)
    finding = rule(tale.history)
    assert finding is not None
    return finding


def outcome(tale: LogTale, promise: str) -> Outcome:
    return found(tale, promise).outcome


def two_done() -> LogTale:
    """All as it should be: both copies took part, one died, a bad one was laid aside."""
    tale = LogTale().put("a", "bad b", "c").put("d", partition=1, key="l").began()
    tale.did("A", "a").laid_aside("bad b").committed("bad b").is_killed("A")
    return tale.did("B", "d", "c")


@pytest.mark.parametrize("promise", PROMISES["request-handler"], ids=lambda promise: promise.id)
def test_a_run_as_it_should_be_keeps_every_promise(promise: object) -> None:
    for one in PROMISES["request-handler"]:
        if one is promise:
            verdict = one.judge(two_done().history)
            assert verdict
            assert verdict.outcome is Outcome.KEPT, verdict.seen


@pytest.mark.parametrize(
    "promise", ["done", "committed-after-done", "in-order", "shared", "all-committed", "takes-time"]
)
def test_where_nothing_was_appended_nothing_can_be_said(promise: str) -> None:
    assert outcome(LogTale().began(), promise) is Outcome.UNKNOWN


def test_a_commit_before_the_line_is_too_early_and_one_behind_it_is_not() -> None:
    early = LogTale().put("x").began().committed("x").done("A", "x")
    assert outcome(early, "committed-after-done") is Outcome.BROKEN
    good = LogTale().put("x").began().done("A", "x").committed("x")
    assert outcome(good, "committed-after-done") is Outcome.KEPT


def test_a_commit_says_nothing_of_another_partition() -> None:
    tale = LogTale().put("x").put("y", "z", partition=1).began().did("A", "y", "z")
    assert outcome(tale, "committed-after-done") is Outcome.KEPT


def test_the_one_that_was_lost_is_shown_before_one_that_went_well() -> None:
    tale = LogTale().put("x", "y").began().committed("x").done("A", "x").committed("y")
    seen = found(tale.is_killed(), "committed-after-done").seen
    assert '"y"' in seen
    assert "It never was." in seen


def test_a_bad_request_counts_once_it_is_on_the_topic_for_what_failed() -> None:
    early = LogTale().put("bad").began().committed("bad").laid_aside("bad")
    assert outcome(early, "committed-after-done") is Outcome.BROKEN
    good = LogTale().put("bad").began().laid_aside("bad").committed("bad")
    assert outcome(good, "committed-after-done") is Outcome.KEPT


def test_a_request_that_waits_and_one_that_is_lost_are_told_apart() -> None:
    waits = found(LogTale().put("x", "y").began().did("A", "x"), "done")
    assert waits.outcome is Outcome.BROKEN
    assert "passed" not in waits.seen
    lost = LogTale().put("x", "y").began().did("A", "x").committed("y")
    assert "has passed it: nobody will be given it again" in found(lost, "done").seen


def test_a_program_that_prints_nothing_is_told_to_flush() -> None:
    assert "flush" in found(LogTale().put("x").began(), "done").seen
    odd = LogTale().put("x").began().said("A", "fertig x")
    assert "fertig x" in found(odd, "done").seen


def test_to_be_done_twice_is_allowed() -> None:
    tale = LogTale().put("x", "y").began().done("A", "x").is_killed().did("B", "x", "y")
    for promise in ("done", "committed-after-done", "in-order", "all-committed"):
        assert outcome(tale, promise) is Outcome.KEPT


def test_the_order_counts_within_a_key_and_by_the_first_time() -> None:
    other_keys = LogTale().put("x", key="k").put("y", key="l").began().done("A", "y")
    assert outcome(other_keys.done("A", "x"), "in-order") is Outcome.KEPT
    wrong = LogTale().put("x", "y").began().done("A", "y").done("A", "x")
    assert outcome(wrong, "in-order") is Outcome.BROKEN
    again = LogTale().put("x", "y").began().done("A", "x").done("A", "y").done("B", "x")
    assert outcome(again, "in-order") is Outcome.KEPT


def test_a_copy_that_did_nothing_took_no_part() -> None:
    tale = LogTale().put("x").began().did("A", "x")
    assert "B did none" in found(tale, "shared").seen


@pytest.mark.parametrize("there", ["bad!", "failed: bad"])
def test_what_is_laid_aside_changed_is_not_laid_aside(there: str) -> None:
    tale = LogTale().put("bad").began().laid_aside(there).committed("bad")
    seen = found(tale, "laid-aside").seen
    assert "did not end in requests.failed" in seen
    assert there in seen


def test_a_bad_request_is_never_done() -> None:
    tale = LogTale().put("bad").began().done("A", "bad")
    assert "fails every time" in found(tale, "laid-aside").seen


def test_the_end_is_where_the_last_record_is() -> None:
    tale = LogTale().put("x", "y").began().did("A", "x").done("A", "y")
    seen = found(tale, "all-committed").seen
    assert seen == "Partition 0 has 2 requests, and in the end the committed offset is 1."
    nothing = LogTale().put("x").began().done("A", "x")
    assert "nothing is committed" in found(nothing, "all-committed").seen


def test_who_is_quicker_than_the_work_has_not_worked() -> None:
    tale = LogTale().put("a long one").began().done("A", "a long one", soon=True)
    assert outcome(tale, "takes-time") is Outcome.BROKEN


def test_without_the_kill_that_all_is_done_means_nothing() -> None:
    tale = LogTale(copies=("A",)).put("x").began("A").did("A", "x")
    tale.note("fault-missed", fault="kill", why="it was never at work")
    (done,) = (one for one in PROMISES["request-handler"] if one.id == "done")
    verdict = done.judge(tale.history)
    assert verdict
    assert verdict.outcome is Outcome.UNKNOWN


def test_a_history_knows_where_a_record_stands() -> None:
    message = History.of(LogTale().put("x", "y", partition=3, key="k7").events).messages["y"]
    assert message.place
    assert (message.place.partition, message.place.offset, message.place.key) == (3, 1, "k7")
