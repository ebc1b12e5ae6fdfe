"""The belief behind a broken promise is named where the wire tells it, and nowhere else.

Each belief that can be told has the smallest run that shows it; below stand runs that
look like one and are another, and runs of which nothing can be told.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labs.judge.diagnosis import SIGNS
from labs.judge.judging import judge_journals
from labs.judge.misconceptions import MISCONCEPTIONS
from labs.judge.verdicts import Outcome
from tests.judge.job_tale import FAILED as JOBS_FAILED
from tests.judge.job_tale import JobTale
from tests.judge.log_tale import LogTale
from tests.judge.order_tale import BUSY_S, OrderTale
from tests.judge.table_tale import TableTale
from tests.judge.tale import QUEUE, Tale

FAILED = f"{QUEUE}.failed"
CANNOT_BE_TOLD = {14, 21, 22, 27, 32, 35}
"""Beliefs that no exercise can show on the wire; `labs.judge.diagnosis` says why."""


def told(tale: Tale) -> int | None:
    """Which belief is named."""
    return judge_journals([tale.events]).misconception


def killed_while_x(**how: object) -> Tale:
    """A copy is killed while it holds x, and nobody does x."""
    tale = Tale().worker("A", "B", **how).published("x", "y").delivered("A", "x")
    return tale.killed("A").handled("B", "y")


def poison(**declared: object) -> Tale:
    """The bad message is with A; the good one is done."""
    tale = Tale("poison").worker("A", "B").declared("A", **declared)  # type: ignore[arg-type]
    return tale.published("bad", "ok").handled("B", "ok").delivered("A", "bad")


def round_and_round(tale: Tale) -> Tale:
    """The bad message is given back, and comes again."""
    for _ in range(12):
        tale.rejected("A", "bad", requeue=True).delivered("A", "bad", redelivered=True)
    return tale


def lost(tale: Tale) -> Tale:
    """A producer ended in good order, and one of its lines is in no queue."""
    return tale.sent("x").note("end-of-input").exited("A", 0)


def producer(exercise: str = "hello-producer", **how: object) -> Tale:
    """A producer with one line."""
    return Tale(exercise, copies=("A",)).producer(**how).given("x")  # type: ignore[arg-type]


def restarted(durable: bool, mode: int) -> Tale:
    """The broker was restarted after a producer had ended."""
    tale = lost(producer("durability", durable=durable).sends("x", delivery_mode=mode))
    tale.fault("restart", None)
    if durable:
        tale.event("queue", data={"queue": QUEUE, "ready": 0})
    return tale


def ack_lost(**how: object) -> Tale:
    """A did x, its ack was lost and it was killed; x comes to B."""
    tale = Tale("idempotence").worker("A", "B", **how).published("x", "y").delivered("A", "x")
    tale.done("A", "x").acked("A", "x", swallowed=True).fault("lose").killed("A")
    return tale.delivered("B", "x", redelivered=True)


def died_at_work(files: list[str]) -> Tale:
    """A was killed at work on x; B skipped it, and does others."""
    tale = Tale("idempotence").worker("A", "B").published("x", "y").delivered("A", "x").killed("A")
    tale.delivered("B", "x", redelivered=True).acked("B", "x").handled("B", "y")
    return tale.note("state", files=files)


def long_work(**how: object) -> Tale:
    """The long message is with A, and the broker gives the connection up."""
    tale = Tale("heartbeats", copies=("A",)).fault("ask-heartbeat").worker("A", **how)
    return tale.published("x" * 60, "y").delivered("A", "x" * 60)


def gave_up_by_broker() -> Tale:
    """The copy slept over its work, and its connection is gone."""
    return long_work(heartbeat_s=1).wait(3).lost("A", by="broker")


def slept_and_reconnected() -> Tale:
    """As above, and the message came again."""
    tale = gave_up_by_broker().connected("A", heartbeat_s=1).consuming("A")
    return tale.delivered("A", "x" * 60, redelivered=True)


def refused(text: str, exercise: str = "work-queue") -> Tale:
    """The broker closed a channel with 406, and the program ended of it."""
    tale = Tale(exercise).worker("A", "B").published("x", "y").handled("A", "x")
    return tale.refused("A", 406, text).exited("A", 1)


def in_two_threads() -> Tale:
    """Two threads wrote at once; the broker saw one ack twice."""
    tail = "Exception in thread Thread-1 (work):\n  ...\n    channel.basic_ack(tag)\n"
    return refused("unknown delivery tag 1").note("stderr", "A", tail=tail)


def acked_up_to_the_last() -> Tale:
    """One ack for several, of which one was in work; A is killed then."""
    tale = Tale().worker("A", "B").published("x", "y").delivered("A", "x").delivered("A", "y")
    return tale.done("A", "y").acked("A", "y", multiple=True).killed("A")


def took_all(**how: object) -> Tale:
    """One copy was sent two messages at once."""
    tale = Tale("fair-dispatch").worker("A", "B", **how).published("x", "y")
    tale.delivered("A", "x").delivered("A", "y").done("A", "x")
    return tale.wait(0.2).done("A", "y")


def skipped_by_its_tag() -> Tale:
    """Tag 1 was done by A; B's tag 1 is another message, and is skipped."""
    tale = Tale("idempotence").worker("A", "B").published("x", "y").handled("A", "x")
    return tale.delivered("B", "y").acked("B", "y")


def done_again_by_another_alone() -> Tale:
    """Who did x skips it when it comes again; the other copy does it again."""
    tale = ack_lost().done("B", "x").acked("B", "x")
    return tale.delivered("B", "x").acked("B", "x")


SHOWN: list[tuple[int, str, Callable[[], Tale]]] = [
    (1, "lost with its copy", lambda: killed_while_x(auto_ack=True)),
    (1, "settled in the middle of long work", lambda: long_work(auto_ack=True, heartbeat_s=1)),
    (1, "a failed message is gone", lambda: poison_with_auto_ack()),
    (2, "lost with its copy", lambda: killed_while_x(auto_ack=True, prefetch=1)),
    (2, "all at once, limit or not", lambda: took_all(auto_ack=True, prefetch=1)),
    (3, "acked, then done", lambda: acked_first()),
    (4, "stalled", lambda: Tale("work-queue").worker("A", "B").published("x", "y")
        .delivered("A", "x").done("A", "x").stopped("A", "B").left("x")),
    (5, "it said so and went on", lambda: poison().wait(0.3).said("A", "[!] bad").stopped("A")),
    (5, "the next one was done", lambda: poison().published("on").handled("A", "on")),
    (6, "the failed message is acked", lambda: poison().acked("A", "bad")),
    (7, "406", lambda: refused("unknown delivery tag 1")),
    (8, "one ack for several", acked_up_to_the_last),
    (9, "a thread's last words", in_two_threads),
    (10, "transient messages", lambda: restarted(True, 1)),
    (11, "a transient queue", lambda: restarted(False, 2)),
    (12, "no confirms", lambda: lost(producer("confirms").sends("x"))),
    (13, "confirmed and dropped", lambda: lost(
        producer("confirms", confirms=True).sends("x").confirmed("x"))),
    (13, "returned and confirmed", lambda: lost(
        producer("confirms", confirms=True).sends("x", mandatory=True).returned("x")
        .confirmed("x"))),
    (15, "406", lambda: refused("inequivalent arg 'durable' for queue 'work'")),
    (16, "another key", lambda: lost(producer().sends("x", key="hello"))),
    (17, "nothing bound yet", lambda: lost(producer().sends("x", exchange="lines", key=""))),
    (18, "a limit of length", lambda: lost(
        producer(arguments={"x-max-length": 3}).sends("x"))),
    (19, "no limit", took_all),
    (19, "no limit and no acks", lambda: took_all(auto_ack=True)),
    (20, "a limit of ten", lambda: took_all(prefetch=10)),
    (23, "skipped by the flag", lambda: killed_while_x().delivered("B", "x", redelivered=True)
        .acked("B", "x")),
    (23, "skipped, and nothing on disk", lambda: died_at_work([])),
    (24, "done again", lambda: ack_lost().done("B", "x").acked("B", "x")),
    (25, "skipped by its tag", skipped_by_its_tag),
    (25, "known to one process alone", done_again_by_another_alone),
    (26, "skipped, by a mark on disk", lambda: died_at_work(["seen.db"])),
    (28, "round and round", lambda: round_and_round(poison())),
    (29, "rejected, and nowhere", lambda: poison().rejected("A", "bad")),
    (30, "it died of it", lambda: poison().lost("A", by="client").exited("A", 1)),
    (31, "a limit on a classic queue", lambda: round_and_round(
        poison(arguments={"x-delivery-limit": 3}))),
    (31, "a limit that the broker refused", lambda: refused(
        "invalid arg 'x-delivery-limit' for queue 'work' of queue type x", "poison")),
    (31, "a quorum queue without a limit", lambda: round_and_round(
        poison(arguments={"x-queue-type": "quorum"}))),
    (33, "no heartbeat", lambda: long_work(heartbeat_s=0)),
    (33, "an hour", lambda: long_work(heartbeat_s=3600)),
    (34, "given up by the broker", gave_up_by_broker),
    (34, "again and again", slept_and_reconnected),
    (36, "it ended", lambda: Tale("reconnect", copies=("A",)).worker("A").published("x")
        .delivered("A", "x").fault("cut").lost("A").exited("A", 0)),
    (30, "a request", lambda: LogTale().put("x", "bad", "y").began().did("A", "x").dies("A")),
    (37, "some passed in the middle of their work", lambda: LogTale()
        .put("u", "v", "w", "x", "y").began().done("A", "u").done("A", "v").done("A", "w")
        .committed("x").done("A", "x").done("A", "y")),
    (38, "each passed before its work", lambda: LogTale().put("x", "y").began()
        .committed("x").done("A", "x").committed("y").done("A", "y")),
    (39, "what was read ahead", lambda: LogTale().put("x", "y", "z").began().done("A", "x")
        .committed("z").done("A", "y").done("A", "z")),
    (40, "no commit at all", lambda: LogTale().put("x").began().done("A", "x").is_killed("A")
        .done("B", "x")),
    (41, "all of it in each copy", lambda: LogTale().put("w").began().done("A", "w")
        .done("B", "w").put("x", "y").done("A", "x").done("B", "x").done("A", "y").done("B", "y")),
    (42, "a later one was done first", lambda: LogTale().put("x", "y").began().done("A", "y")
        .committed("y").done("A", "x")),
    (43, "what was there before it", lambda: LogTale().put("x").began().put("y").did("A", "y")),
    (44, "as if it were done", lambda: LogTale().put("bad", "x").began().committed("bad")
        .did("A", "x")),
    (45, "the next one's commit", lambda: LogTale().put("bad", "x").began().did("A", "x")),
    (46, "nobody took over", lambda: LogTale().put("x", "y").began().did("A", "x")
        .is_killed("A")),
    (46, "the group stood still", lambda: LogTale().put("x", "y").began().done("A", "x")
        .note("fault-missed", fault="kill", why="nobody was at work", by_chance=True)),
    (47, "it ended", lambda: LogTale().put("x", "y").began().did("A", "x").done("B", "y")
        .dies("B", saying="KafkaError{code=REBALANCE_IN_PROGRESS,val=27}")),
    (24, "a job", lambda: killed_job().handled("B", "x")),
    (25, "a job, and another process", lambda: killed_job().handled("B", "x")
        .delivered("B", "x").acked("B", "x")),
    (26, "a job, on disk", lambda: JobTale().published("x", "y").handled("A", "y")
        .delivered("A", "x").killed("A").delivered("B", "x", redelivered=True).acked("B", "x")
        .note("state", files=1)),
    (48, "held all the time", lambda: waiting().wait(3).note("gave-up", waiting_for="done")),
    (49, "let go", lambda: waiting().acked("A", "x").made_ready().handled("B", "y")),
    (50, "done, and failed", lambda: JobTale().published("x").delivered("A", "x").done("A", "x")
        .lays_aside("A", "x").left("x", JOBS_FAILED)),
    (51, "gone", lambda: JobTale().published("x", "bad").handled("A", "x")
        .delivered("B", "bad").acked("B", "bad")),
    (52, "another id", lambda: waiting().queues_anew("A", "x").acked("A", "x")),
    (53, "among the failed", lambda: waiting().lays_aside("A", "x").left("x", JOBS_FAILED)),
    (54, "a hot loop", lambda: hot_loop()),
    (55, "both claimed it", lambda: TableTale().put("x", "y").claims("A", "x").claims("B", "x")
        .both_contend().done("A", "x").settles("x").done("B", "x")),
    (55, "both took what had run out", lambda: leased().put("x", left_by="Z").claims("A", "x")
        .claims("B", "x").both_contend()),
    (55, "both took what was free", lambda: leased().put("x").claims("A", "x").claims("B", "x")),
    (56, "both did it, and one had claimed it", lambda: TableTale().put("x").both_contend()
        .claims("A", "x").done("A", "x").settles("x").done("B", "x").settles("x")),
    (57, "locked, with nothing in hand", lambda: TableTale().put("x", "y").does("A", "x")
        .dies("A", saying="sqlite3.OperationalError: database is locked")),
    (58, "locked, and it had just done one", lambda: TableTale().put("x", "y").claims("A", "x")
        .done("A", "x").dies("A", saying="sqlite3.OperationalError: database is locked")),
    (59, "never two at once", lambda: TableTale().put("x", "y").does("A", "x").does("B", "y")),
    (26, "a task, and its mark", lambda: TableTale().put("x").claims("A", "x").settles("x")
        .done("A", "x")),
    (60, "lost in the middle", lambda: lost_at_work(leased())),
    (61, "extended once", lambda: lost_at_work(leased(), extended=True)),
    (61, "extended when it was over", lambda: leased().put("x" * 50).claims("A", "x" * 50).wait(2.1)
        .extends("x" * 50).wait(2.1).claims("B", "x" * 50)),
    (62, "marked as done what was another's", lambda: frozen().settles("x")),
    (62, "took it back", lambda: frozen().claims("A", "x")),
    (63, "nobody took it", lambda: leased().put("x", "y").claims("A", "x").is_killed("A", "x")
        .does("B", "y")),
    (64, "another clock", lambda: leased().put("x").claims("A", "x", lease_s=-1.7e9)),
    (64, "no number", lambda: leased().put("x").claims("A", "x", lease_s=None, lease_end="noon")),
    (65, "three in one hand", lambda: lost_at_work(leased().put("y", "z").claims("A", "y", "z"))),
    (66, "the same name", lambda: leased().put("x", "y").claims("A", "x", owner="worker")
        .claims("B", "y", owner="worker")),
    (67, "put back by who had just started", lambda: restarted_while_at_work()
        .row("y", stage="waiting", owner=None).claims("A", "y").done("B", "y")),
    (67, "taken by who had just started", lambda: restarted_while_at_work().claims("A", "y")),
    (26, "an order, and its note", lambda: OrderTale("x", "y").asked("x")
        .goes_wrong("hold-request").is_killed("x").starts("y").ends()),
    (68, "a new build id", lambda: OrderTale("x").loses_the_answer("x", build=5)
        .starts("x", build=6).ends()),
    (68, "a new key", lambda: OrderTale("x").loses_the_request("x", key="a")
        .starts("x", key="b").ends()),
    (69, "it died of it", lambda: OrderTale("x", "y").loses_the_answer("x").ends(1)),
    (69, "it went on to the next", lambda: OrderTale("x", "y").loses_the_request("x").starts("y")
        .ends()),
    (69, "said to be refused", lambda: OrderTale("x").is_told_to_wait("x").says("refused", "x")
        .ends()),
    (69, "too many requests", lambda: OrderTale("x").asked("x").answered(429).says("refused", "x")
        .ends()),
    (69, "it ended when it had waited", lambda: OrderTale("x").hears_nothing("x").ends(1)),
    (70, "no answer", lambda: OrderTale("x").loses_the_request("x").says("started", "x").ends()),
    (70, "before the answer", lambda: OrderTale("x").asked("x").says("started", "x").gets("x")
        .ends()),
    (71, "503", lambda: OrderTale("x").is_told_to_wait("x").says("started", "x").ends()),
    (71, "422", lambda: OrderTale(bad="w").is_refused("w").says("started", "w").ends()),
    (72, "time and again", lambda: OrderTale(bad="w").is_refused("w").is_refused("w")
        .is_refused("w").is_refused("w").hangs()),
    (73, "sooner than it was told", lambda: OrderTale("x").is_told_to_wait("x").starts("x").ends()),
    (74, "another name after a restart", lambda: OrderTale("x").loses_the_answer("x", build=5)
        .is_killed("x").starts("x", build=6).ends()),
    (74, "another order's name after a restart", lambda: OrderTale("x", "y").starts("x", build=1)
        .asked("y", build=2).goes_wrong("hold-request").is_killed("y").starts("y", build=1).ends()),
    (75, "one key", lambda: OrderTale("x", "y", "z").starts("x", key="k")
        .is_refused("y", key="k").is_refused("z", key="k").ends()),
    (76, "two alike", lambda: OrderTale("x", "x2", "y").starts("x", "x2", build=5, key=None)
        .starts("y").ends()),
    (77, "not there yet", lambda: OrderTale("x").hears_nothing("x", build=5).asked("x", "GET")
        .answered(404).starts("x", build=6).lets_through("x").ends()),
    (78, "a time in the body", lambda: OrderTale("x").loses_the_answer("x", key="k", sum="a")
        .is_refused("x", key="k", sum="b").says("refused", "x").ends()),
    (78, "a new build id under the old key", lambda: OrderTale("x")
        .loses_the_answer("x", key="k", build=5).is_refused("x", key="k", build=6)
        .says("refused", "x").ends()),
    (79, "no end", lambda: OrderTale("x", "y").starts("x").hears_nothing("y").hangs()),
    (80, "said to be refused", lambda: OrderTale("x").loses_the_answer("x").sends("x")
        .says("refused", "x").ends()),
    (80, "tried again for ever", lambda: OrderTale("x").loses_the_answer("x").sends("x")
        .sends("x").sends("x").hangs()),
]  # fmt: skip


def leased() -> TableTale:
    """A table whose claims have an end."""
    return TableTale.leased()


def lost_at_work(tale: TableTale, *, extended: bool = False) -> TableTale:
    """The work on a task lasts longer than its lease; another takes it in the middle."""
    long = "x" * 50
    tale.put(long).claims("A", long).wait(1.5)
    if extended:
        tale.extends(long).wait(1.5)
    return tale.wait(0.6).claims("B", long).done("A", long)


def frozen() -> TableTale:
    """A copy was frozen; another has its task and is at work when it goes on."""
    tale = leased().put("x").claims("A", "x").is_frozen("A", "x").wait(2.1).claims("B", "x")
    return tale.is_thawed("A").done("A", "x", soon=True)


def restarted_while_at_work() -> TableTale:
    """A copy was killed and is started again; the other is at work."""
    tale = leased().put("x", "y").claims("A", "x").claims("B", "y").is_killed("A", "x")
    return tale.begins("A")


def waiting() -> JobTale:
    """A copy has a job that is not ready; the other is done."""
    return JobTale().published("x", ready=False).published("y").delivered("A", "x")


def hot_loop() -> JobTale:
    """A job that is not ready goes round and round."""
    tale = waiting()
    for _ in range(12):
        tale.gives_back("A", "x", to=QUEUE).delivered("A", "x")
    return tale.made_ready()


def killed_job() -> JobTale:
    """A copy is killed after the work, and before its ack gets through."""
    tale = JobTale().published("x").delivered("A", "x").done("A", "x")
    return tale.acked("A", "x", swallowed=True).fault("cut").killed("A")


def poison_with_auto_ack() -> Tale:
    """What failed had been forgotten by the broker before it failed."""
    tale = Tale("poison").worker("A", "B", auto_ack=True).published("bad", "ok")
    return tale.delivered("A", "bad").delivered("B", "ok").done("B", "ok")


def acked_first() -> Tale:
    """The ack is the first line of the callback."""
    tale = Tale().worker("A", "B").published("x", "y").delivered("A", "x")
    tale.acked("A", "x").done("A", "x").delivered("B", "y").acked("B", "y")
    return tale.killed("B")


@pytest.mark.parametrize(
    ("number", "tale"), [pytest.param(n, t, id=f"{n}: {what}") for n, what, t in SHOWN]
)
def test_the_belief_is_named(number: int, tale: Callable[[], Tale]) -> None:
    report = judge_journals([tale().events])
    assert report.outcome is Outcome.BROKEN
    assert report.misconception == number


def test_every_belief_that_can_be_told_is_told_here() -> None:
    assert {number for number, _, _ in SHOWN} == set(MISCONCEPTIONS) - CANNOT_BE_TOLD
    assert {row.misconception for row in SIGNS} == set(MISCONCEPTIONS) - CANNOT_BE_TOLD


# --- None is an answer ------------------------------------------------------------------------


def test_where_all_is_kept_nothing_is_named() -> None:
    tale = Tale("hello-consumer", copies=("A",)).worker("A", auto_ack=True).published("x")
    assert told(tale.delivered("A", "x").done("A", "x").stopped("A")) is None


def test_auto_ack_is_not_named_where_it_lost_nothing() -> None:
    tale = Tale("hello-consumer", copies=("A",)).worker("A", auto_ack=True).published("x")
    assert told(tale.delivered("A", "x").said("A", "done ?")) is None


def test_a_program_that_was_ended_for_a_flood_tells_nothing_of_queues() -> None:
    assert told(killed_while_x(auto_ack=True).note("flooded", "A")) is None


def test_who_asked_for_confirms_and_did_not_wait_does_not_think_that_it_needs_none() -> None:
    tale = producer("confirms", confirms=True).sends("x", mandatory=True).sent("x").confirmed("x")
    assert told(tale.left("x")) is None


def test_a_queue_and_messages_that_are_both_transient_show_neither_belief() -> None:
    assert told(restarted(False, 1)) is None


def test_what_is_in_the_queue_explains_nothing_that_is_not() -> None:
    tale = producer("confirms", confirms=True).given("y").sends("x").confirmed("x").left("x")
    assert told(tale.sent("x", "y")) is None


def test_messages_that_expire_are_not_transient() -> None:
    assert told(restarted(True, 2)) is None


def test_a_key_that_names_a_queue_of_the_programs_own_is_no_slip() -> None:
    assert told(lost(producer().declared("A", "hello").sends("x", key="hello"))) is None


def test_what_was_skipped_is_not_explained_where_nobody_looked_on_disk() -> None:
    tale = died_at_work([])
    events = [event for event in tale.events if event.name != "state"]
    assert judge_journals([events]).misconception is None


def test_a_changed_body_is_no_ack_in_a_finally_block() -> None:
    tale = poison().sends("failed: bad", key=FAILED).acked("A", "bad").left("failed: bad", FAILED)
    assert told(tale) is None


def test_who_holds_a_failed_message_may_be_waiting() -> None:
    assert told(poison().stopped("A", "B").left("bad")) is None


def test_a_good_one_set_aside_is_no_rejection_into_nothing() -> None:
    tale = Tale("poison").worker("A", "B").published("bad", "not bad").delivered("A", "bad")
    tale.rejected("A", "bad").delivered("B", "not bad").rejected("B", "not bad")
    assert told(tale.left("bad", FAILED).left("not bad", FAILED).said("A", "done ?")) is None


def test_who_lets_go_of_each_message_and_takes_it_again_knows_of_acks() -> None:
    tale = Tale("hello-consumer", copies=("A",)).worker("A").published("x")
    tale.delivered("A", "x").done("A", "x").lost("A", by="client")
    tale.connected("A").consuming("A").delivered("A", "x", redelivered=True)
    assert told(tale.stopped("A").left("x")) is None


def test_who_comes_back_once_has_a_loop() -> None:
    tale = Tale("reconnect", copies=("A",)).worker("A").published("x").delivered("A", "x")
    tale.fault("cut").lost("A").connected("A").consuming("A")
    tale.fault("close-by-broker").lost("A").exited("A", 1)
    assert told(tale) is None


# --- The more special belief, and not the more general ------------------------------------------


def test_a_new_name_at_each_try_is_a_new_one_after_a_restart_too() -> None:
    tale = OrderTale("x").loses_the_request("x", build=5).loses_the_answer("x", build=6)
    assert told(tale.is_killed("x").starts("x", build=7).ends()) == 68


def test_a_look_that_found_nothing_to_do_with_another_name_is_no_sign() -> None:
    tale = OrderTale("x", "y").asked("y", "GET").answered(404).loses_the_answer("x", build=5)
    assert told(tale.starts("x", build=6).starts("y").ends()) == 68


def test_who_looks_when_it_starts_again_had_lost_the_name_by_then() -> None:
    tale = OrderTale("x").loses_the_answer("x", build=5).is_killed("x").asked("x", "GET")
    assert told(tale.answered(404).starts("x", build=6).ends()) == 74


def test_what_was_refused_for_its_address_shows_no_belief() -> None:
    tale = OrderTale("x").asked("x", path="/v1/orders").answered(404).says("refused", "x")
    assert told(tale.ends()) is None


def test_one_name_for_all_is_more_than_one_for_what_is_alike() -> None:
    tale = OrderTale("x", "x2", "y").starts("x", build=5).starts("x2", build=5)
    assert told(tale.starts("y", build=5).ends()) == 75


def test_who_comes_too_soon_and_says_it_started_looks_at_the_status() -> None:
    tale = OrderTale("x").is_told_to_wait("x").wait(BUSY_S / 4).is_told_to_wait("x").wait(BUSY_S)
    assert told(tale.starts("x").ends()) == 73


def test_who_waits_for_ever_after_a_restart_noted_nothing_first() -> None:
    tale = OrderTale("x", "y").loses_the_answer("x").is_killed("x").starts("x")
    assert told(tale.hears_nothing("y").hangs()) == 79


def test_a_program_that_says_it_in_other_words_shows_no_belief_about_answers() -> None:
    assert told(OrderTale("x").sends("x").said("A", "Order started: x").ends()) is None


def test_a_program_that_never_came_to_the_log_shows_no_belief_about_the_group() -> None:
    came = LogTale().put("x").began()
    assert told(came) == 46
    stayed_away = LogTale().put("x").began()
    for copy in ("A", "B"):
        stayed_away.note("never-connected", copy, elsewhere=[])
    assert told(stayed_away) is None


def test_an_ack_on_receipt_is_not_an_ack_for_several() -> None:
    assert told(acked_first()) == 3


def test_a_failed_publish_to_no_queue_is_a_wrong_name() -> None:
    tale = poison().sends("bad", key="faild").acked("A", "bad")
    assert told(tale) == 16


def test_who_takes_over_a_partition_without_a_commit_does_all_of_it_again() -> None:
    tale = LogTale().put("w", "x", "y").began().done("A", "w").done("A", "x").done("B", "w")
    assert told(tale.done("B", "x").done("B", "y")) == 40


def test_a_queue_with_a_limit_that_refuses_what_does_not_fit_drops_nothing() -> None:
    arguments = {"x-max-length": 3, "x-overflow": "reject-publish"}
    assert told(lost(producer(arguments=arguments).sends("x"))) is None
