"""Promises of a trial with jobs: kept, broken, and what cannot be said; journals told by hand."""

from __future__ import annotations

import pytest

from labs.judge.promises import PROMISES
from labs.judge.rules.finding import Finding
from labs.judge.verdicts import Outcome
from tests.judge.job_tale import FAILED, JobTale


def found(tale: JobTale, promise: str) -> Finding:
    """What the rule of this promise finds."""
    (rule,) = (one.rule for one in PROMISES["job-handler"] if one.id == promise)
    finding = rule(tale.history)
    assert finding is not None
    return finding


def outcome(tale: JobTale, promise: str) -> Outcome:
    return found(tale, promise).outcome


def as_it_should_be() -> JobTale:
    """One is not ready and comes back, one is done, one is laid aside; a copy dies."""
    tale = JobTale().published("x", ready=False).published("y", "bad")
    tale.looked_at("A", "x").handled("B", "y").delivered("B", "bad").lays_aside("B", "bad")
    tale.looked_at("A", "x").made_ready().delivered("A", "x").killed("A")
    return tale.handled("B", "x").stopped("B").left("bad", FAILED)


@pytest.mark.parametrize("promise", PROMISES["job-handler"], ids=lambda promise: promise.id)
def test_a_run_as_it_should_be_keeps_every_promise(promise: object) -> None:
    for one in PROMISES["job-handler"]:
        if one is promise:
            verdict = one.judge(as_it_should_be().history)
            assert verdict
            assert verdict.outcome is Outcome.KEPT, verdict.seen


def test_a_job_is_known_by_its_text_wherever_it_goes() -> None:
    history = as_it_should_be().history
    message = history.messages["x"]
    assert [delivery.copy for delivery in message.deliveries] == ["A", "A", "A", "B"]
    assert len(message.publishes) == 2
    assert message.first_done
    assert message.first_done.copy == "B"
    assert history.messages["bad"].left[0].data["queue"] == FAILED


def test_a_line_belongs_to_the_delivery_that_was_kept_and_not_to_one_that_was_given_back() -> None:
    tale = JobTale().published("x", ready=False).looked_at("A", "x").made_ready()
    first, second = tale.handled("A", "x").history.messages["x"].deliveries
    assert first.done is None
    assert second.done


def test_who_holds_what_is_not_ready_while_others_wait_is_shown() -> None:
    tale = JobTale().published("x", ready=False).published("y").delivered("A", "x").wait(3)
    seen = found(tale.note("gave-up", waiting_for="done"), "others-go-on").seen
    assert '"y" was ready, and not done while "x" and 0 more were not ready' in seen
    assert 'A held "x", which was not ready' in seen


def test_others_that_are_done_only_when_all_is_ready_were_held_up() -> None:
    tale = JobTale().published("x", ready=False).published("y").delivered("A", "x")
    assert outcome(tale.made_ready().handled("B", "y"), "others-go-on") is Outcome.BROKEN


def test_what_is_not_ready_must_not_be_done() -> None:
    tale = JobTale().published("x", ready=False).handled("A", "x").made_ready()
    assert "before it was ready" in found(tale, "when-ready").seen


@pytest.mark.parametrize(("looks", "expected"), [(10, Outcome.KEPT), (11, Outcome.BROKEN)])
def test_ten_looks_are_allowed(looks: int, expected: Outcome) -> None:
    tale = JobTale().published("x", ready=False)
    for _ in range(looks):
        tale.looked_at("A", "x")
    assert outcome(tale.made_ready().looked_at("A", "x"), "few-looks") is expected


def test_the_same_job_under_another_id_is_another_job() -> None:
    tale = JobTale().published("x", ready=False).delivered("A", "x").queues_anew("A", "x")
    seen = found(tale.acked("A", "x"), "keeps-its-id").seen
    assert seen == 'A queued "x" anew, as a job with another id (another).'


def test_a_good_job_among_the_failed_is_told() -> None:
    tale = JobTale().published("x").delivered("A", "x").lays_aside("A", "x").left("x", FAILED)
    assert "though it is not a bad one" in found(tale, "set-aside").seen


def test_without_a_job_that_came_twice_exactly_once_means_nothing() -> None:
    tale = JobTale().published("x").handled("A", "x")
    assert outcome(tale, "exactly-once") is Outcome.UNKNOWN


def test_a_job_that_was_queued_twice_is_to_be_done_once() -> None:
    twice = JobTale().published("x", "x").handled("A", "x").handled("B", "x")
    assert outcome(twice, "exactly-once") is Outcome.BROKEN
    once = JobTale().published("x", "x").handled("A", "x").delivered("B", "x").acked("B", "x")
    assert outcome(once, "exactly-once") is Outcome.KEPT
