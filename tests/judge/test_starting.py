"""Promises of trials on a queue service: kept, broken, and what cannot be said; told by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labs.judge.judging import judge_journals
from labs.judge.orders import Orders
from labs.judge.promises import PROMISES, Promise
from labs.judge.rules.finding import Finding
from labs.judge.verdicts import Outcome
from tests.judge.order_tale import BUSY_S, OrderTale

SLUG = "idempotent-start"
PROMISED = PROMISES[SLUG]


def found(tale: OrderTale, promise: str) -> Finding:
    """What the rule of this promise finds."""
    (rule,) = (one.rule for one in PROMISED if one.id == promise)
    finding = rule(tale.history)
    assert finding is not None
    return finding


def outcome(tale: OrderTale, promise: str) -> Outcome:
    return found(tale, promise).outcome


def answers_lost() -> OrderTale:
    """As it should be: an answer lost, a request, one late; a bad order; two alike."""
    tale = OrderTale("x", "x2", "y", "z", bad="w").loses_the_answer("x").starts("x")
    tale.loses_the_request("x2").starts("x2").hears_nothing("y").starts("y")
    tale.lets_through("y")
    return tale.is_refused("w").says("refused", "w").starts("z").ends()


def restarted() -> OrderTale:
    """As it should be: the service restarted, and busy."""
    tale = OrderTale("x", "y", trial="restarted").asked("x").gets("x", heard=False)
    tale.goes_wrong("service-away").goes_wrong("service-back").starts("x")
    return tale.is_told_to_wait("y").wait(BUSY_S).starts("y").ends()


def killed() -> OrderTale:
    """As it should be: killed with and without the service having got the request."""
    tale = OrderTale("x", "y", "z", trial="killed").starts("x").asked("y").gets("y", heard=False)
    tale.goes_wrong("hold-answer").is_killed("y").starts("x", "y")
    return tale.asked("z").goes_wrong("hold-request").is_killed("z").starts("x", "y", "z").ends()


RIGHT = (answers_lost, restarted, killed)


@pytest.mark.parametrize("promise", PROMISED, ids=lambda promise: promise.id)
@pytest.mark.parametrize("tale", RIGHT, ids=lambda tale: tale.__name__)
def test_a_run_as_it_should_be_keeps_every_promise(
    tale: Callable[[], OrderTale], promise: Promise
) -> None:
    verdict = promise.judge(tale().history)
    assert verdict is None or verdict.outcome is Outcome.KEPT, verdict.seen


def test_three_runs_as_they_should_be_leave_nothing_unknown() -> None:
    report = judge_journals([tale().events for tale in RIGHT])
    assert report.outcome is Outcome.KEPT, [v for v in report.verdicts if v.seen]
    assert {verdict.promise for verdict in report.verdicts} == {one.id for one in PROMISED}


@pytest.mark.parametrize("missing", range(3))
def test_where_a_fault_did_not_strike_it_is_unknown_whether_all_is_well(missing: int) -> None:
    tales = [tale().events for n, tale in enumerate(RIGHT) if n != missing]
    assert judge_journals(tales).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("promise", [one.id for one in PROMISED if one.id != "contract"])
def test_where_nothing_was_sent_no_promise_is_kept(promise: str) -> None:
    tale = OrderTale("x", bad="w").note("never-connected", "A", elsewhere=[]).hangs()
    verdicts = judge_journals([tale.events]).verdicts
    assert {v.outcome for v in verdicts if v.promise == promise} <= {
        Outcome.UNKNOWN,
        Outcome.BROKEN,
    }
    assert verdicts[0].promise == "contract"
    assert verdicts[0].outcome is Outcome.BROKEN


# --- Started, once ----------------------------------------------------------------------------


def test_what_counts_is_what_the_service_has() -> None:
    tale = OrderTale("x", "y").loses_the_request("x").says("started", "x").starts("y").ends()
    finding = found(tale, "started")
    assert finding.seen == "x was never started. It was said to be."
    assert finding.evidence
    assert finding.evidence.body == "x"
    assert "the connection was cut before the service had the request" in finding.evidence.lines[2]


def test_where_the_missing_one_was_not_even_sent_the_last_that_was_is_shown_too() -> None:
    tale = OrderTale("x", "y", bad="w").starts("x").is_refused("w").is_refused("w").hangs()
    finding = found(tale, "started")
    assert finding.seen == "y was never started. It was not even sent; the last that was is w."
    assert finding.evidence
    assert any("A sent w as build" in line for line in finding.evidence.lines)


def test_what_is_there_and_was_never_said_is_missing_too() -> None:
    tale = OrderTale("x", "y").starts("y").sends("x").said("A", "Started: x").ends()
    assert "never said to be started" in found(tale, "started").seen
    silent = OrderTale("x").sends("x").said("A", "ok").ends()
    assert 'such as "ok"' in found(silent, "started").seen


def test_an_order_under_two_build_ids_is_started_twice() -> None:
    tale = OrderTale("x").loses_the_answer("x", build=5).starts("x", build=6).ends()
    finding = found(tale, "once")
    assert finding.seen == "x was started 2 times: the service has it under 2 build ids."
    assert finding.evidence
    told = "\n".join(finding.evidence.lines)
    assert "A sent it as build 5" in told
    assert "the service said 201: it is there, and nobody heard it" in told
    assert "the service has it as build 6: queued" in told


def test_a_bad_order_that_was_never_started_is_no_miss() -> None:
    assert outcome(answers_lost(), "started") is Outcome.KEPT


# --- Names ------------------------------------------------------------------------------------


def test_another_name_at_the_second_try_is_told_though_it_did_no_harm() -> None:
    tale = OrderTale("x").loses_the_request("x", build=5).starts("x", build=6).ends()
    assert outcome(tale, "once") is Outcome.KEPT
    assert "sent again with another build id" in found(tale, "one-name").seen


def test_a_key_is_a_part_of_the_name_and_none_at_all_is_none_too_many() -> None:
    other = OrderTale("x").loses_the_answer("x", key="a").starts("x", key="b").ends()
    assert "another Idempotency-Key" in found(other, "one-name").seen
    none = OrderTale("x", "y").loses_the_answer("x", key=None).starts("x", "y", key=None).ends()
    assert outcome(none, "one-name") is Outcome.KEPT


def test_a_name_that_is_another_one_after_a_restart_is_told_so() -> None:
    tale = OrderTale("x").asked("x", build=5).gets("x", heard=False, build=5)
    tale.goes_wrong("hold-answer").is_killed("x").starts("x", build=6).ends()
    assert "again after its restart with another build id" in found(tale, "one-name").seen


def test_two_orders_under_one_name_are_shown_both() -> None:
    tale = OrderTale("x", "y").starts("x", build=5).starts("y", build=5).ends()
    finding = found(tale, "one-name")
    assert finding.seen == "x and y are two orders, and had the same build id."
    assert finding.evidence
    assert any("A sent y as build 5" in line for line in finding.evidence.lines)
    assert found(tale, "started").seen == "y was never started. It was said to be."


def test_orders_with_one_key_are_two_orders_with_one_name() -> None:
    tale = OrderTale("x", "y").starts("x", key="k").is_refused("y", key="k").ends()
    assert "had the same Idempotency-Key" in found(tale, "one-name").seen


# --- What is said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tale", "tail"),
    [
        (OrderTale("x").asked("x").says("started", "x").gets("x"), "it had not answered at all"),
        (OrderTale("x").loses_the_answer("x").says("started", "x"), "it had not answered at all"),
        (OrderTale("x").is_told_to_wait("x").says("started", "x"), "it had said 503"),
        (OrderTale("x", bad="w").is_refused("w").says("started", "w"), "it had said 422"),
    ],
)
def test_started_is_said_too_soon(tale: OrderTale, tail: str) -> None:
    seen = found(tale, "said-when-known").seen
    assert seen.endswith(f"was said to be started before the service had said yes: {tail}.")


def test_it_was_there_already_is_a_yes() -> None:
    tale = OrderTale("x").loses_the_answer("x").sends("x").says("started", "x")
    assert tale.events[-2].data["status"] == 200
    assert outcome(tale, "said-when-known") is Outcome.KEPT


def test_who_looks_and_finds_it_knows_that_it_is_there() -> None:
    tale = OrderTale("x").loses_the_answer("x").asked("x", "GET")
    assert outcome(tale.says("started", "x"), "said-when-known") is Outcome.BROKEN
    tale = OrderTale("x").loses_the_answer("x").asked("x", "GET").answered(200, shows=["x"])
    assert outcome(tale.says("started", "x"), "said-when-known") is Outcome.KEPT


def test_a_yes_is_remembered_over_a_restart() -> None:
    tale = OrderTale("x").sends("x").is_killed("x").says("started", "x")
    assert outcome(tale, "said-when-known") is Outcome.KEPT


def test_a_good_order_is_not_said_to_be_refused() -> None:
    never = OrderTale("x").loses_the_request("x").says("refused", "x")
    assert "would have taken it" in found(never, "refused").seen
    there = OrderTale("x").sends("x").says("refused", "x").looked_at()
    assert "though the service has it" in found(there, "refused").seen


def test_a_bad_order_is_tried_a_few_times_and_said_to_be_refused() -> None:
    few, many, silent = (OrderTale("x", bad="w") for _ in range(3))
    for _ in range(3):
        few.is_refused("w")
    for _ in range(4):
        many.is_refused("w")
    assert outcome(few.says("refused", "w"), "refused") is Outcome.KEPT
    assert "was tried 4 times" in found(many.says("refused", "w"), "refused").seen
    assert "never said to be refused" in found(silent.is_refused("w"), "refused").seen


def test_a_bad_order_that_was_lost_on_the_way_may_be_tried_more_often() -> None:
    tale = OrderTale(bad="w")
    for _ in range(5):
        tale.is_told_to_wait("w").wait(BUSY_S)
    assert outcome(tale.is_refused("w").says("refused", "w"), "refused") is Outcome.KEPT


# --- When it tries again, and when it ends ----------------------------------------------------


def test_who_comes_sooner_than_it_was_told_is_caught() -> None:
    soon = OrderTale("x").is_told_to_wait("x").wait(BUSY_S / 2).starts("x")
    assert "asked to come again after 2 s, and x was tried again after 1.0" in (
        found(soon, "waits-as-told").seen
    )
    assert outcome(
        OrderTale("x").is_told_to_wait("x").wait(BUSY_S).starts("x"), "waits-as-told"
    ) is (Outcome.KEPT)


def test_another_process_does_not_know_what_the_first_was_told() -> None:
    tale = OrderTale("x").is_told_to_wait("x").is_killed("x").starts("x")
    assert outcome(tale, "waits-as-told") is Outcome.UNKNOWN


def test_other_orders_may_be_tried_meanwhile() -> None:
    tale = OrderTale("x", "y").is_told_to_wait("x").is_told_to_wait("y").wait(BUSY_S)
    assert outcome(tale.starts("x", "y"), "waits-as-told") is Outcome.KEPT


def test_who_waits_for_ever_is_told_for_what() -> None:
    tale = OrderTale("x", "y").starts("x").hears_nothing("y").hangs()
    assert "waited for an answer about y that never came" in found(tale, "ends").seen
    loops = OrderTale("x").starts("x").hangs()
    assert "had to be stopped" in found(loops, "ends").seen


def test_who_dies_is_told_its_last_words() -> None:
    tale = OrderTale("x").loses_the_answer("x").ends(1).note("stderr", "A", tail="ReadError: oh")
    assert 'status 1. It said last: "ReadError: oh"' in found(tale, "ends").seen
    again = OrderTale("x").loses_the_answer("x").exited("A", 1)
    assert outcome(again, "ends") is Outcome.BROKEN


# --- The contract, and how a journal is read ---------------------------------------------------


def test_a_request_that_names_no_order_breaks_the_contract() -> None:
    nameless, lost = OrderTale("x"), OrderTale("x")
    data = {"request": 1, "path": "/v1/queue/message", "order": None}
    nameless.event("asked", "POST", copy="A", data=data)
    assert "named none of the orders" in found(nameless, "contract").seen
    lost.asked("x", path="/v1/x")
    assert found(lost, "contract").seen.startswith("It sent its orders to /v1/x;")


def test_a_look_is_no_try_and_a_line_of_another_order_no_word_about_this_one() -> None:
    tale = OrderTale("x").asked("x", "GET").answered(404).said("A", "started by me")
    (order,) = Orders.of(tale.history).all
    assert (order.tries, order.said) == ([], [])


def test_tries_belong_to_the_process_that_ran_by_then() -> None:
    history = killed().history
    y = next(order for order in Orders.of(history).all if order.name == "y")
    assert [request.process for request in y.tries] == history.processes
