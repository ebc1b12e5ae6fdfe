"""Each promise is kept by a run that keeps it, and broken by the smallest run that breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from labs.errors import BadInput
from labs.judge.evidence import message_life
from labs.judge.judging import judge_journals
from labs.judge.promises import PROMISES
from labs.judge.verdicts import Outcome, Verdict
from tests.judge.tale import QUEUE, Tale

KEPT, BROKEN, UNKNOWN = Outcome.KEPT, Outcome.BROKEN, Outcome.UNKNOWN


def verdict(tale: Tale | Sequence[Tale], promise: str) -> Verdict:
    """What became of a promise; of several trials, what weighs most."""
    tales = [tale] if isinstance(tale, Tale) else tale
    report = judge_journals([one.events for one in tales])
    mine = [one for one in report.verdicts if one.promise == promise]
    return min(mine, key=lambda one: [BROKEN, UNKNOWN, KEPT].index(one.outcome))


def outcome(tale: Tale | Sequence[Tale], promise: str) -> Outcome:
    """Kept, broken or unknown."""
    return verdict(tale, promise).outcome


def hello(**how: object) -> Tale:
    """The beginning of a run of hello-consumer, up to its first messages."""
    tale = Tale("hello-consumer", copies=("A",)).worker("A", **how)
    return tale.published("one", "three")


def good_hello() -> Tale:
    """A run in which all is right."""
    return hello().handled("A", "one", "three").stopped("A")


# --- All exercises --------------------------------------------------------------------------


def test_each_exercise_promises_something_with_ids_of_its_own() -> None:
    for promises in PROMISES.values():
        ids = [promise.id for promise in promises]
        assert ids[0] == "contract"
        assert len(set(ids)) == len(ids)


def test_a_good_run_keeps_all() -> None:
    report = judge_journals([good_hello().events])
    assert report.outcome is KEPT
    assert (report.exercise, report.misconception) == ("hello-consumer", None)


def test_journals_judged_twice_say_the_same() -> None:
    events = hello().handled("A", "one").events
    assert judge_journals([events]) == judge_journals([events])


def test_where_the_kit_failed_nothing_is_said_of_the_program() -> None:
    tale = hello().note("trouble", what="the broker went away")
    report = judge_journals([tale.events])
    assert {one.outcome for one in report.verdicts} == {UNKNOWN}
    assert "the broker went away" in report.verdicts[0].seen


def test_a_recording_of_the_proxy_is_nothing_to_judge() -> None:
    tale = Tale("")
    with pytest.raises(BadInput, match="nothing to judge"):
        judge_journals([tale.events])


def test_a_program_that_does_nothing_keeps_no_promise() -> None:
    report = judge_journals([Tale("hello-consumer", copies=("A",)).started("A").events])
    assert KEPT not in {one.outcome for one in report.verdicts}
    assert report.outcome is BROKEN


def test_the_evidence_is_one_messages_life_in_lines_with_times() -> None:
    evidence = verdict(hello().handled("A", "one").delivered("A", "three"), "done").evidence
    assert evidence
    assert evidence.body == "three"
    assert [line.split("s  ")[1] for line in evidence.lines] == [
        "published to the queue",
        "delivered to A",
        "the run ended: it was never done",
    ]


def test_a_long_life_is_folded() -> None:
    tale = hello()
    for again in range(50):
        tale.delivered("A", "one", redelivered=again > 0).rejected("A", "one", requeue=True)
    evidence = verdict(tale, "done").evidence
    assert evidence
    assert len(evidence.lines) < 20
    assert any("more like these" in line for line in evidence.lines)


# --- The program contract -------------------------------------------------------------------


def seen(tale: Tale, promise: str = "contract") -> str:
    """What was seen of a broken promise."""
    found = verdict(tale, promise)
    assert found.outcome is BROKEN
    assert found.evidence
    return found.seen


def test_a_worker_that_ends_by_itself_is_told_so_with_its_last_words() -> None:
    tale = hello().exited("A", 3).note("stderr", "A", tail="Traceback\n  File x\nKeyError: 'Q'\n")
    assert "status 3" in seen(tale)
    assert "KeyError: 'Q'" in seen(tale)


def test_a_worker_that_ends_when_its_connection_was_taken_does_not_break_the_contract() -> None:
    frozen = hello()
    frozen.event("signal", "freeze", copy="A")
    assert outcome(frozen.lost("A", by="broker").exited("A", 1), "contract") is KEPT
    assert outcome(hello().lost("A", by="client").exited("A", 1), "contract") is BROKEN


def test_one_that_never_connected_is_told_where_it_went_instead() -> None:
    tale = Tale("hello-consumer", copies=("A",)).started("A")
    tale.note("never-connected", "A", elsewhere=["localhost:5672"])
    assert "AMQP_URL" in seen(tale)
    assert "localhost:5672" in seen(tale)


def test_one_that_consumes_another_queue_is_told_so() -> None:
    tale = Tale("hello-consumer", copies=("A",)).worker("A", queue="hello")
    assert '"hello"' in seen(tale)


def test_one_that_was_refused_is_told_the_brokers_words() -> None:
    tale = Tale("hello-consumer", copies=("A",)).started("A").connected("A")
    assert "NOT_FOUND" in seen(tale.refused("A", 404, "NOT_FOUND - no queue"))


@pytest.mark.parametrize(
    ("note", "word"),
    [("flooded", "flooded"), ("forked", "processes"), ("escaped", "lived on")],
)
def test_floods_forks_and_children_are_told(note: str, word: str) -> None:
    assert word in seen(good_hello().note(note, "A", lines=9, processes=99, pids=[1]))


def test_where_nothing_was_started_nothing_is_known() -> None:
    assert outcome(Tale("hello-consumer", copies=("A",)), "contract") is UNKNOWN


def test_a_note_may_name_its_copy_in_its_data_alone() -> None:
    assert seen(good_hello().note("flooded", copy="A")).startswith("A flooded")
    tale = good_hello()
    tale.event("note", "forked", data={"copy": "A"})
    assert seen(tale).startswith("A started")


def test_a_producer_that_crashes_is_told_so_with_its_last_words() -> None:
    tale = lines().exited("A", 1).note("stderr", "A", tail="ValueError: x")
    assert "ValueError: x" in seen(tale)


def test_a_producer_that_prints_nothing_is_told_to_flush() -> None:
    assert "flush" in seen(ended(lines(), "x", "y"), "said-sent")
    assert '"x sent"' in seen(ended(lines().said("A", "x sent"), "x", "y"), "said-sent")


def test_one_that_has_to_be_killed_in_the_end_is_told_so() -> None:
    assert "SIGTERM" in seen(good_hello().note("not-stopped", "A"))


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"exclusive": True}, "exclusive"),
        ({"auto_delete": True}, "auto-delete"),
        ({"arguments": {"x-queue-type": "stream"}}, "stream"),
    ],
)
def test_a_queue_that_cannot_be_judged_is_refused(flags: dict[str, Any], word: str) -> None:
    assert f"as {word}" in seen(good_hello().declared("A", **flags)).replace("as a ", "as ")


def test_a_queue_of_another_name_may_be_exclusive() -> None:
    assert outcome(good_hello().declared("A", "answers", exclusive=True), "contract") is KEPT


# --- Done, settled, left, time --------------------------------------------------------------


def test_every_message_has_to_be_done() -> None:
    assert outcome(good_hello(), "done") is KEPT
    assert "never done" in seen(hello().handled("A", "one"), "done")


def test_a_line_for_what_was_never_delivered_is_a_guess() -> None:
    tale = hello().handled("A", "three").said("A", "done one").handled("A", "one")
    assert "had not been delivered" in seen(tale, "done")


def test_done_means_once() -> None:
    assert "more often" in seen(good_hello().said("A", "done one"), "done")


def test_what_a_program_gave_back_after_it_was_done_is_done_twice() -> None:
    tale = hello().handled("A", "three").delivered("A", "one").done("A", "one")
    tale.rejected("A", "one", requeue=True)
    tale.delivered("A", "one", redelivered=True).done("A", "one").acked("A", "one")
    assert "2 times" in seen(tale, "done")


def test_a_line_that_is_nearly_right_is_shown() -> None:
    tale = hello().handled("A", "three").delivered("A", "one").said("A", "Done b'one'")
    assert "b'one'\" is not `done` and the body" in seen(tale.acked("A", "one"), "done")


def test_what_stands_in_the_way_of_a_message_that_never_came_is_shown() -> None:
    done = hello().published("two").delivered("A", "one").done("A", "one").stopped("A")
    assert 'in the end A held "one"' in seen(done, "done")


def test_silence_is_told_from_work_undone() -> None:
    tale = hello().delivered("A", "one").acked("A", "one")
    assert "flush" in seen(tale, "done")
    assert "working on" in seen(tale.said("A", "working on one"), "done")


def test_what_is_left_in_the_queue_breaks_a_promise() -> None:
    assert outcome(good_hello(), "nothing-left") is KEPT
    assert "never acknowledged" in seen(good_hello().left("one"), "nothing-left")


def test_what_is_left_in_another_queue_does_not() -> None:
    assert outcome(good_hello().left("one", f"{QUEUE}.failed"), "nothing-left") is KEPT


def test_work_takes_its_time() -> None:
    tale = hello().handled("A", "one").delivered("A", "three").done("A", "three", soon=True)
    assert "its work lasts 0.50 s" in seen(tale, "takes-time")


def test_several_at_a_time_may_be_in_work() -> None:
    tale = hello().delivered("A", "one").delivered("A", "three").done("A", "one")
    tale.wait(0.2).done("A", "three").acked("A", "one").acked("A", "three")
    assert outcome(tale, "takes-time") is KEPT


# --- work-queue -----------------------------------------------------------------------------


def test_each_copy_does_at_least_two() -> None:
    tale = Tale("work-queue").worker("A", "B").published("a", "b", "c", "d")
    tale.handled("A", "a", "b").handled("B", "c")
    assert "B did 1" in seen(tale, "shared")
    assert outcome(tale.handled("B", "d"), "shared") is KEPT


# --- acknowledgements -----------------------------------------------------------------------


def acks(trial: str = "killed", **how: object) -> Tale:
    """Two workers and two messages; A holds x."""
    tale = Tale(trial=trial).worker("A", "B", **how).published("x", "y").handled("B", "y")
    return tale.delivered("A", "x")


def frozen(heartbeat_s: int = 1) -> Tale:
    """A was frozen while it held x, long enough for the broker to notice, and thawed."""
    tale = acks("frozen", heartbeat_s=heartbeat_s)
    tale.event("signal", "freeze", copy="A")
    if heartbeat_s == 1:
        tale.wait(3).lost("A", by="broker")
        tale.delivered("B", "x", redelivered=True).done("B", "x").acked("B", "x")
    tale.event("signal", "thaw", copy="A")
    return tale


def killed() -> Tale:
    """A was killed while it held x, and B did it."""
    tale = acks().killed("A").delivered("B", "x", redelivered=True)
    return tale.done("B", "x").acked("B", "x")


def test_what_a_dead_or_frozen_copy_held_is_done_by_the_other() -> None:
    report = judge_journals([killed().events, frozen().events])
    assert report.outcome is KEPT


def test_what_nobody_does_after_a_kill_is_told() -> None:
    assert "A was killed" in seen(acks().killed("A"), "taken-over")


def test_a_trial_without_the_freeze_leaves_its_promise_unknown() -> None:
    assert outcome(killed(), "taken-over") is UNKNOWN


def test_a_fault_that_missed_makes_kept_unknown_and_broken_stays_broken() -> None:
    missed = acks().done("A", "x").acked("A", "x").note("fault-missed", fault="kill", why="idle")
    assert outcome([missed, frozen()], "done") is UNKNOWN
    assert verdict([missed, frozen()], "done").seen == "idle"
    lost = acks().acked("A", "x").note("fault-missed", fault="kill", why="idle")
    assert outcome([lost, frozen()], "done") is BROKEN


def test_a_kill_while_nothing_was_in_hand_proves_nothing() -> None:
    idle = acks().done("A", "x").acked("A", "x").killed("A")
    assert "held no message" in verdict([idle, frozen()], "taken-over").seen


def test_a_freeze_is_unknown_where_no_heartbeat_lets_the_broker_notice() -> None:
    found = verdict([killed(), frozen(60)], "taken-over")
    assert found.outcome is UNKNOWN
    assert "60 s" in found.seen


def test_a_thawed_copy_may_finish_what_the_other_did_meanwhile() -> None:
    assert outcome([killed(), frozen().done("A", "x")], "done") is KEPT


def test_a_copy_killed_between_line_and_ack_may_be_repeated() -> None:
    tale = acks().done("A", "x").killed("A").delivered("B", "x", redelivered=True)
    assert outcome([tale.done("B", "x").acked("B", "x"), frozen()], "done") is KEPT


def test_an_ack_before_the_line_is_settled_before_done() -> None:
    tale = acks().acked("A", "x").done("A", "x")
    assert "acknowledged by A before it was done" in seen(tale, "done-before-settled")
    assert outcome(acks().done("A", "x").acked("A", "x"), "done-before-settled") is KEPT


def test_auto_ack_is_settled_before_done() -> None:
    assert "auto_ack" in seen(acks(auto_ack=True).done("A", "x"), "done-before-settled")


def test_order_decides_and_not_the_clock() -> None:
    tale = acks()
    tale.said("A", "done x").acked("A", "x")
    tale.now_s -= 5
    assert outcome(tale, "done-before-settled") is KEPT


def test_to_give_a_message_back_is_not_to_settle_it() -> None:
    tale = acks().rejected("A", "x", requeue=True).delivered("B", "x", redelivered=True)
    assert outcome(tale.done("B", "x").acked("B", "x"), "done-before-settled") is KEPT


def test_an_ack_for_several_settles_those_before_it_too() -> None:
    tale = Tale().worker("A", "B").published("x", "y").delivered("A", "x").delivered("A", "y")
    tale.done("A", "y").acked("A", "y", multiple=True).done("A", "x")
    assert '"x"' in seen(tale, "done-before-settled")


# --- Producers ------------------------------------------------------------------------------


def lines(exercise: str = "hello-producer", **how: object) -> Tale:
    """A producer that was given and published two lines."""
    tale = Tale(exercise, copies=("A",)).producer(**how).given("x", "y")  # type: ignore[arg-type]
    return tale.sends("x", delivery_mode=2).sends("y", delivery_mode=2)


def ended(tale: Tale, *left: str) -> Tale:
    """It ended in good order, and these were found in the queue."""
    tale.input_ended().exited("A", 0)
    for body in left:
        tale.left(body)
    return tale


def test_a_good_producer_keeps_all() -> None:
    assert judge_journals([ended(lines().sent("x", "y"), "x", "y").events]).outcome is KEPT


def test_a_line_that_is_not_in_the_queue_breaks_the_promise() -> None:
    assert '"y" is not in the queue' in seen(ended(lines().sent("x", "y"), "x"), "in-queue")


def test_a_line_with_its_end_is_another_body() -> None:
    assert "'y\\n'" in seen(ended(lines().sent("x", "y"), "x", "y\n"), "in-queue")


def test_a_line_that_is_there_twice_breaks_the_promise() -> None:
    assert "2 times" in seen(ended(lines().sent("x", "y"), "x", "y", "y"), "in-queue")


def test_another_order_breaks_the_promise() -> None:
    assert "order" in seen(ended(lines().sent("x", "y"), "y", "x"), "in-queue")


def test_what_is_no_line_of_the_input_does_not_belong_into_the_queue() -> None:
    assert "no line" in seen(ended(lines().sent("x", "y"), "x", "y", "z"), "in-queue")


def test_every_line_is_said_to_be_sent_once() -> None:
    assert '"y" was never said' in seen(ended(lines().sent("x"), "x", "y"), "said-sent")
    assert "2 times" in seen(ended(lines().sent("x", "x", "y"), "x", "y"), "said-sent")


def test_a_producer_exits_with_0_at_the_end_of_its_input() -> None:
    assert outcome(ended(lines()), "exits") is KEPT
    assert "did not exit" in seen(lines().input_ended().exited(asked=True), "exits")
    assert "status 1" in seen(lines().input_ended().exited("A", 1), "exits")
    assert "not ended by then" in seen(lines().exited("A", 0), "exits")


def test_a_producer_that_waits_for_the_end_of_its_input_is_told_so() -> None:
    tale = Tale("hello-producer", copies=("A",)).producer().given("x").input_ended().sends("x")
    assert "until its input had ended" in seen(tale)


def test_after_the_restart_queue_and_messages_are_still_there() -> None:
    tale = ended(lines("durability").sent("x", "y")).fault("restart", None)
    tale.event("queue", data={"queue": QUEUE, "ready": 2})
    assert judge_journals([tale.left("x").left("y").events]).outcome is KEPT


def test_a_queue_that_is_not_there_after_the_restart_is_gone() -> None:
    tale = ended(lines("durability").sent("x", "y")).fault("restart", None)
    assert "queue is gone" in seen(tale, "queue-survives")
    assert "after the broker's restart" in seen(tale, "messages-survive")


def test_without_a_restart_nothing_is_known() -> None:
    tale = ended(lines("durability").sent("x", "y"))
    tale.note("not-possible-here", fault="restart", why="a class server").left("x").left("y")
    assert outcome(tale, "queue-survives") is UNKNOWN
    assert verdict(tale, "messages-survive").seen == "a class server"


def confirms() -> Tale:
    """Two lines published in confirm mode."""
    return lines("confirms", confirms=True)


def test_what_is_said_to_be_sent_has_to_be_stored() -> None:
    tale = confirms().confirmed("y", multiple=True).sent("x", "y")
    assert "never in the queue" in seen(ended(tale, "x"), "sent-is-stored")


def test_what_was_in_the_queue_before_it_was_deleted_counts() -> None:
    tale = confirms().confirmed("y", multiple=True).left("x", before_delete=True).sent("x", "y")
    assert outcome(ended(tale.fault("delete-queue"), "y"), "sent-is-stored") is not BROKEN


def test_each_fault_has_to_strike_in_one_trial() -> None:
    tale = ended(confirms().confirmed("y", multiple=True).sent("x", "y"), "x", "y")
    assert "refuse-publish" in " ".join(
        one.seen for one in judge_journals([tale.events]).verdicts if one.outcome is UNKNOWN
    )
    for fault in ("cut", "refuse-publish", "delete-queue"):
        tale.fault(fault)
    assert judge_journals([tale.events]).outcome is KEPT


def test_transactions_have_no_confirm_that_could_be_refused() -> None:
    tale = ended(confirms().confirmed("y", multiple=True).sent("x", "y"), "x", "y")
    tale.fault("cut").fault("delete-queue").note("left-out", fault="refuse-publish")
    assert judge_journals([tale.events]).outcome is KEPT


def test_duplicates_are_allowed_where_confirms_get_lost() -> None:
    tale = confirms().confirmed("y", multiple=True).sent("x", "y")
    assert outcome(ended(tale, "x", "y", "x"), "sent-is-stored") is not BROKEN


def test_nothing_is_said_to_be_sent_before_the_broker_has_taken_it() -> None:
    assert "before the broker" in seen(confirms().sent("x").confirmed("x"), "sent-after-taken")
    assert outcome(confirms().confirmed("x").sent("x"), "sent-after-taken") is KEPT


def test_a_publish_that_was_cut_off_was_taken_by_nobody() -> None:
    tale = Tale("confirms", copies=("A",)).producer().given("x").sends("x", swallowed=True)
    assert outcome(tale.declared().sent("x"), "sent-after-taken") is BROKEN


def test_the_broker_has_taken_what_it_committed_answered_or_showed() -> None:
    answered = lines("confirms").declared().sent("x")
    shown = lines("confirms").left("x", before_delete=True).sent("x")
    committed = Tale("confirms", copies=("A",)).producer().frame("A", "client", "tx.select")
    committed.given("x").sends("x").frame("A", "broker", "tx.commit-ok").sent("x")
    for tale in (answered, shown, committed):
        assert outcome(tale, "sent-after-taken") is KEPT
    assert outcome(lines("confirms").sent("x"), "sent-after-taken") is BROKEN


# --- fair-dispatch --------------------------------------------------------------------------


def fair(**how: object) -> Tale:
    """Two workers and four messages."""
    return Tale("fair-dispatch").worker("A", "B", **how).published("a", "b", "c", "d")


def test_one_at_a_time_and_nobody_idle_is_fair() -> None:
    tale = fair().delivered("A", "a").handled("B", "b").done("A", "a").acked("A", "a")
    tale.handled("B", "c").handled("A", "d").stopped("A", "B")
    assert judge_journals([tale.events]).outcome is KEPT


def test_a_message_before_the_one_before_is_done_is_one_too_many() -> None:
    tale = fair().delivered("A", "a").delivered("A", "b")
    assert '"b" while it was not done with "a"' in seen(tale, "one-at-a-time")


def test_what_was_given_back_is_out_of_the_way() -> None:
    tale = fair().delivered("A", "a").rejected("A", "a", requeue=True).delivered("A", "b")
    assert outcome(tale, "one-at-a-time") is KEPT


def test_a_poller_without_acks_is_given_a_moment_for_its_line() -> None:
    tale = Tale("fair-dispatch").started("A").connected("A").published("a", "b")

    def polled(body: str, tag: int) -> None:
        tale.frame("A", "client", "basic.get", queue=QUEUE, no_ack=True)
        tale.frame("A", "broker", "basic.get-ok", delivery_tag=tag, routing_key=QUEUE)
        tale.frame("A", "broker", "header", body_size=1, properties={})
        tale.frame("A", "broker", "body", size=1, text=body)

    polled("a", 1)
    tale.wait(0.1)
    polled("b", 2)
    assert outcome(tale, "one-at-a-time") is BROKEN
    assert outcome(tale.said("A", "done a"), "one-at-a-time") is KEPT


def idle(seconds: float, *, settled: bool) -> Tale:
    """B has done b, and for a while gets nothing, though d waits; it has settled b or has not."""
    tale = fair().handled("A", "a").delivered("B", "b").done("B", "b")
    tale = tale.acked("B", "b") if settled else tale
    tale.delivered("A", "c").wait(seconds).done("A", "c").acked("A", "c")
    tale = tale if settled else tale.acked("B", "b")
    return tale.handled("B", "d").stopped("A", "B")


def test_a_copy_idle_while_messages_wait_breaks_the_promise() -> None:
    found = verdict(idle(0.9, settled=False), "none-idle")
    assert found.outcome is BROKEN
    assert found.seen.startswith("B was idle for")


def test_a_copy_that_waits_for_the_broker_is_not_idle_unless_it_waits_for_long() -> None:
    assert outcome(idle(0.9, settled=True), "none-idle") is KEPT
    assert outcome(idle(3.0, settled=True), "none-idle") is BROKEN


def test_a_copy_that_polls_late_is_idle() -> None:
    tale = Tale("fair-dispatch").worker("A").started("B").connected("B").published("a")
    tale.frame("B", "client", "basic.get", queue=QUEUE).frame("B", "broker", "basic.get-empty")
    tale.published("b").handled("A", "a").wait(0.9).handled("A", "b").stopped("A", "B")
    assert "B was idle" in seen(tale, "none-idle")


def test_to_be_idle_while_nothing_waits_is_no_harm() -> None:
    tale = fair().handled("A", "a", "c").handled("B", "b", "d").wait(5).stopped("A", "B")
    assert outcome(tale, "none-idle") is KEPT


# --- reconnect ------------------------------------------------------------------------------


def lost_once(name: str = "cut") -> Tale:
    """The connection is lost while A holds x."""
    tale = Tale("reconnect", copies=("A",)).worker("A").published("x").delivered("A", "x")
    return tale.fault(name).lost("A")


def back(tale: Tale) -> Tale:
    """It is at work again, and does what came back."""
    tale.connected("A").consuming("A").delivered("A", "x", redelivered=True)
    return tale.done("A", "x").acked("A", "x")


def test_a_worker_that_comes_back_keeps_all() -> None:
    tale = back(lost_once())
    for fault in ("close-by-broker", "away"):
        back(tale.published("x").fault(fault).lost("A"))
        tale.handled("A")
    report = judge_journals([back(lost_once(f)).events for f in ("cut", "close-by-broker", "away")])
    assert report.outcome is KEPT


def test_what_was_acknowledged_as_the_broker_closed_the_connection_may_be_done_again() -> None:
    tale = Tale("reconnect", copies=("A",)).worker("A").published("x").delivered("A", "x")
    tale.done("A", "x").acked("A", "x").fault("close-by-broker")
    tale.frame("A", "broker", "connection.close", 0, reply_code=320, reply_text="closed").lost("A")
    others = [back(lost_once(fault)) for fault in ("cut", "away")]
    assert outcome([back(tale), *others], "done") is KEPT
    heard = "A acknowledged it, but the broker never heard of it"
    assert any(heard in line for line in message_life(tale.history, "x").lines)


def test_what_was_delivered_while_the_broker_was_about_to_close_may_be_done_again() -> None:
    tale = Tale("reconnect", copies=("A",)).worker("A").published("x").fault("close-by-broker")
    tale = back(tale.delivered("A", "x").done("A", "x").lost("A", by="broker"))
    others = [back(lost_once(fault)) for fault in ("cut", "away")]
    assert outcome([tale, *others], "done") is KEPT


def test_what_is_done_again_on_a_connection_that_no_fault_struck_is_done_twice() -> None:
    tale = back(lost_once()).published("y").delivered("A", "y").done("A", "y").lost("A")
    tale.connected("A").consuming("A").delivered("A", "y", redelivered=True).done("A", "y")
    assert '"y" was done 2 times' in seen(tale.acked("A", "y"), "done")


def test_one_that_ends_instead_does_not_come_back() -> None:
    assert "instead of connecting" in seen(lost_once().exited("A", 1), "back")


def test_one_that_is_not_back_within_30_s_is_too_late() -> None:
    assert "not at work again" in seen(lost_once().wait(31).said("A", "…"), "back")
    assert "only" in seen(back(lost_once().wait(40)), "back")


def test_a_run_that_ended_early_does_not_tell_whether_it_would_have_come_back() -> None:
    assert outcome(lost_once().wait(10).said("A", "…"), "back") is UNKNOWN


def test_while_the_broker_is_away_no_time_is_counted() -> None:
    tale = lost_once("away").wait(20).fault("back").wait(20)
    assert "only" not in verdict(back(tale), "back").seen


def test_two_consumers_at_once_are_one_too_many() -> None:
    both = Tale("reconnect", copies=("A",)).worker("A").connected("A").consuming("A")
    assert "two consumers" in seen(both, "one-consumer")
    assert outcome(back(lost_once()), "one-consumer") is KEPT


# --- heartbeats -----------------------------------------------------------------------------


def long_work(heartbeat_s: int = 1) -> Tale:
    """A message whose work lasts 6 s is with A."""
    tale = Tale("heartbeats", copies=("A",)).fault("ask-heartbeat")
    tale.worker("A", heartbeat_s=heartbeat_s).published("x" * 60, "y")
    return tale.delivered("A", "x" * 60)


def test_long_work_with_a_kept_connection_keeps_all() -> None:
    tale = long_work().done("A", "x" * 60).acked("A", "x" * 60).handled("A", "y").stopped("A")
    assert judge_journals([tale.events]).outcome is KEPT


def test_a_connection_that_the_broker_gave_up_is_lost() -> None:
    tale = long_work().wait(3).lost("A", by="broker")
    assert "lost its connection" in seen(tale, "connection-kept")


def test_a_connection_that_the_program_closed_is_not_lost() -> None:
    tale = long_work().done("A", "x" * 60).acked("A", "x" * 60)
    tale.frame("A", "client", "connection.close", 0, reply_code=200).lost("A", by="client")
    assert outcome(tale, "connection-kept") is KEPT


def test_long_work_is_delivered_once() -> None:
    tale = long_work().wait(3).lost("A", by="broker").connected("A").consuming("A")
    assert "2 times" in seen(tale.delivered("A", "x" * 60, redelivered=True), "long-work")


def test_long_work_is_unacknowledged_while_it_lasts() -> None:
    assert "while it was in work" in seen(long_work().acked("A", "x" * 60), "long-work")


@pytest.mark.parametrize("heartbeat_s", [0, 11, 3600])
def test_a_heartbeat_that_is_off_or_long_breaks_the_promise(heartbeat_s: int) -> None:
    assert outcome(long_work(heartbeat_s), "heartbeat") is BROKEN
    assert outcome(long_work(10), "heartbeat") is KEPT


# --- poison ---------------------------------------------------------------------------------

FAILED = f"{QUEUE}.failed"


def poison() -> Tale:
    """Two workers, a good and a bad message; the bad one is with A."""
    tale = Tale("poison").worker("A", "B").published("bad", "ok")
    return tale.delivered("A", "bad")


def test_to_set_the_bad_one_aside_keeps_all() -> None:
    tale = poison().handled("B", "ok").wait(0.3).rejected("A", "bad").stopped("A", "B")
    assert judge_journals([tale.left("bad", FAILED).events]).outcome is KEPT


def test_good_messages_are_done_and_bad_ones_need_not_be() -> None:
    assert outcome(poison().delivered("B", "ok").said("B", "done ?"), "others-done") is BROKEN
    assert outcome(poison().handled("B", "ok"), "others-done") is KEPT


def test_more_than_10_deliveries_are_too_many() -> None:
    tale = poison()
    for _ in range(9):
        tale.rejected("A", "bad", requeue=True).delivered("A", "bad", redelivered=True)
    assert outcome(tale, "few-attempts") is KEPT
    tale.rejected("A", "bad", requeue=True).delivered("A", "bad", redelivered=True)
    assert "11 times" in seen(tale, "few-attempts")


def test_a_bad_one_that_is_nowhere_is_lost() -> None:
    assert "nowhere" in seen(poison().rejected("A", "bad"), "set-aside")


def test_a_bad_one_is_set_aside_once_and_unchanged() -> None:
    twice = poison().left("bad", FAILED).left("bad", FAILED)
    assert "2 times" in seen(twice, "set-aside")
    assert "changed" in seen(poison().left("bad!", FAILED), "set-aside")


def test_only_bad_ones_are_set_aside() -> None:
    tale = poison().left("bad", FAILED).left("ok", FAILED)
    assert "not a bad one" in seen(tale, "set-aside")


def test_a_bad_one_is_never_done() -> None:
    assert outcome(poison(), "never-done") is KEPT
    assert "fails every time" in seen(poison().done("A", "bad"), "never-done")


def test_a_pause_before_the_next_attempt_holds_up_the_others() -> None:
    tale = poison().wait(4).rejected("A", "bad").handled("B", "ok")
    assert "held up for" in seen(tale, "not-held-up")


def test_work_itself_holds_up_nobody() -> None:
    tale = Tale("poison").worker("A", "B").published("bad" * 20, "ok").delivered("A", "bad" * 20)
    tale.wait(6).rejected("A", "bad" * 20).handled("B", "ok")
    assert outcome(tale, "not-held-up") is KEPT


# --- idempotence ----------------------------------------------------------------------------


def acknowledgement_lost() -> Tale:
    """A did x, its ack was lost, and A was killed; x is with B again."""
    tale = Tale("idempotence").worker("A", "B").published("x").delivered("A", "x").done("A", "x")
    tale.acked("A", "x", swallowed=True).fault("lose").killed("A")
    return tale.delivered("B", "x", redelivered=True)


def test_to_skip_what_is_done_keeps_all() -> None:
    tale = acknowledgement_lost().acked("B", "x").stopped("B")
    assert judge_journals([tale.events]).outcome is KEPT


def test_to_do_it_again_is_once_too_often() -> None:
    tale = acknowledgement_lost().done("B", "x").acked("B", "x")
    assert "2 times" in seen(tale, "exactly-once")


def test_without_a_message_that_came_twice_nothing_is_known() -> None:
    tale = Tale("idempotence").worker("A", "B").published("x").handled("A", "x").fault("lose")
    tale.killed("A")
    assert outcome(tale, "exactly-once") is UNKNOWN
