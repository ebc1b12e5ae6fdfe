"""Promises of trials on a task table: kept, broken, and what cannot be said; told by hand."""

from __future__ import annotations

import pytest

from labs.judge.judging import judge_journals
from labs.judge.promises import PROMISES
from labs.judge.rules.finding import Finding
from labs.judge.rules.leasing import lost_at_work, lost_to_the_machine
from labs.judge.tasks import Tasks, move_of
from labs.judge.verdicts import Outcome
from tests.judge.table_tale import LEASE_S, TableTale

LONG = "x" * 50
"""Its work lasts 5 s, and a lease 2."""


def found(tale: TableTale, promise: str) -> Finding:
    """What the rule of this promise finds."""
    slug = tale.history.exercise
    (rule,) = (one.rule for one in PROMISES[slug] if one.id == promise)
    finding = rule(tale.history)
    assert finding is not None
    return finding


def outcome(tale: TableTale, promise: str) -> Outcome:
    return found(tale, promise).outcome


def claimed_once() -> TableTale:
    """All as it should be: two at work side by side, one after a moment of contention."""
    tale = TableTale().put("one", "other").both_contend().claims("A", "one").claims("B", "other")
    return tale.done("A", "one").settles("one").done("B", "other").settles("other")


def leased() -> TableTale:
    """All as it should be: one extended, one left by a killed copy, one by a frozen one."""
    tale = TableTale.leased().put("dead's", LONG, "cold").put("old", left_by="Z-1").both_contend()
    tale.claims("B", LONG).claims("A", "dead's").is_killed("A", "dead's").begins("A")
    tale.wait(1).extends(LONG).wait(1.2).claims("A", "dead's").extends(LONG).done("A", "dead's")
    tale.settles("dead's").does("A", "old").extends(LONG).claims("A", "cold").wait(1)
    tale.extends(LONG).done("B", LONG).settles(LONG).is_frozen("A", "cold").wait(1.2)
    tale.claims("B", "cold").is_thawed("A").done("A", "cold", soon=True)
    return tale.done("B", "cold").settles("cold")


RIGHT = {"claim-once": claimed_once, "lease": leased}


@pytest.mark.parametrize(
    ("slug", "promise"), [(slug, one.id) for slug in RIGHT for one in PROMISES[slug]]
)
def test_a_run_as_it_should_be_keeps_every_promise(slug: str, promise: str) -> None:
    (one,) = (one for one in PROMISES[slug] if one.id == promise)
    verdict = one.judge(RIGHT[slug]().history)
    assert verdict
    assert verdict.outcome is Outcome.KEPT, verdict.seen


@pytest.mark.parametrize(
    ("slug", "promise"),
    [(slug, one.id) for slug in RIGHT for one in PROMISES[slug] if one.id != "contract"],
)
def test_where_there_was_no_task_nothing_can_be_said(slug: str, promise: str) -> None:
    verdicts = judge_journals([TableTale(slug).events]).verdicts
    assert {v.outcome for v in verdicts if v.promise == promise} == {Outcome.UNKNOWN}


# --- What a change of a row was ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "now", "owners", "extended", "move"),
    [
        ("waiting", "processing", (None, "A"), False, "claim"),
        ("processing", "processing", ("A", "B"), True, "claim"),
        ("processing", "processing", ("A", "A"), True, "extend"),
        ("processing", "processing", ("A", "A"), False, ""),
        ("processing", "processing", (None, None), False, "claim"),
        ("success", "processing", ("A", "B"), False, "claim"),
        ("processing", "success", ("A", "A"), False, "settle"),
        ("waiting", "success", (None, None), False, "settle"),
        ("success", "success", ("A", "A"), False, "settle"),
        ("success", "success", ("A", "A"), True, ""),
        ("processing", "waiting", ("A", None), False, "release"),
        ("processing", None, ("A", None), False, "delete"),
    ],
)
def test_a_change_of_a_row_is_a_move(
    was: str, now: str | None, owners: tuple[str | None, str | None], extended: bool, move: str
) -> None:
    assert move_of(was, now, owners, extended) == move


def test_a_name_belongs_to_one_process_of_a_copy() -> None:
    tale = leased()
    tasks = Tasks.of(tale.history)
    assert [process.copy for process in tasks.owners.values()] == ["A", "B", "A"]
    dead = next(task for task in tasks.all if task.body == "dead's")
    assert [tasks.copy_of(claim.owner) for claim in dead.claims] == ["A", "A"]
    assert len({claim.owner for claim in dead.claims}) == 2


# --- claim-once -------------------------------------------------------------------------------


def test_a_task_that_two_claim_is_shown_with_both() -> None:
    tale = TableTale().put("x").claims("A", "x").claims("B", "x").done("A", "x").settles("x")
    finding = found(tale, "claimed-once")
    assert finding.seen == '"x" was claimed by A and by B.'
    assert finding.evidence
    assert any("B claimed it, which A had" in line for line in finding.evidence.lines)


def test_what_was_put_back_may_be_claimed_again() -> None:
    tale = TableTale().put("x").claims("A", "x").row("x", stage="waiting", owner=None)
    assert outcome(tale.does("B", "x"), "claimed-once") is Outcome.KEPT


def test_a_claim_of_what_is_done_is_one_too_many() -> None:
    tale = TableTale().put("x").does("A", "x").claims("B", "x")
    assert outcome(tale, "claimed-once") is Outcome.BROKEN


def test_who_names_no_owner_is_caught_as_well() -> None:
    tale = TableTale().put("x").claims("A", "x", owner=None).claims("B", "x", owner=None)
    assert found(tale, "claimed-once").seen == '"x" was claimed 2 times.'


def test_a_task_that_two_do_was_done_twice_whoever_had_claimed_it() -> None:
    tale = TableTale().put("x").claims("A", "x").done("A", "x").done("B", "x").settles("x")
    assert outcome(tale, "claimed-once") is Outcome.KEPT
    assert found(tale, "done-once").seen == '"x" was done 2 times, by A and by B.'


def test_without_contention_nothing_was_shown() -> None:
    tale = TableTale().put("x").does("A", "x")
    tale.note("fault-missed", fault="hold", why="no two copies wanted a task")
    (verdict,) = (v for v in judge_journals([tale.events]).verdicts if v.promise == "claimed-once")
    assert verdict.outcome is Outcome.UNKNOWN


def test_a_program_that_prints_nothing_is_told_to_flush() -> None:
    tale = TableTale().put("x").claims("A", "x").settles("x")
    assert "flush" in found(tale, "done-once").seen
    odd = TableTale().put("x").claims("A", "x").said("A", "fertig x")
    assert "fertig x" in found(odd, "done-once").seen


def test_one_after_the_other_is_not_side_by_side() -> None:
    tale = TableTale().put("x", "y").does("A", "x").does("B", "y")
    assert '"y" had to wait for "x"' in found(tale, "side-by-side").seen
    quick = TableTale().put("x", "y").claims("A", "x").settles("x").claims("B", "y").settles("y")
    assert outcome(quick, "side-by-side") is Outcome.UNKNOWN, "nobody worked on them"


def test_a_task_is_done_before_it_is_marked() -> None:
    early = TableTale().put("x").claims("A", "x").settles("x").done("A", "x")
    assert outcome(early, "marked-after") is Outcome.BROKEN
    lost = TableTale().put("x").claims("A", "x").settles("x")
    assert "It never was." in found(lost, "marked-after").seen


def test_what_is_done_and_not_marked_is_told_with_its_owner() -> None:
    tale = TableTale().put("x").claims("A", "x").done("A", "x")
    assert "its stage is processing, with A as its owner" in found(tale, "all-marked").seen
    gone = TableTale().put("x").claims("A", "x").done("A", "x").row("x", stage=None)
    assert "its row is gone" in found(gone, "all-marked").seen


def test_who_is_quicker_than_the_work_has_not_worked() -> None:
    tale = TableTale().put(LONG).claims("A", LONG).done("A", LONG, soon=True)
    assert "was done 0.0" in found(tale, "takes-time").seen


def test_a_copy_that_ends_is_told_with_its_last_words() -> None:
    tale = TableTale().put("x").dies("A", saying="Traceback\nOperationalError: no such table: task")
    assert "no such table: task" in found(tale, "contract").seen


def test_a_transaction_that_stays_open_is_told() -> None:
    tale = TableTale().put("x").note("locked-out", for_s=10.0)
    assert "some transaction stays open" in found(tale, "contract").seen


def test_a_copy_that_takes_nothing_is_told() -> None:
    tale = TableTale().put("x").note("never-connected", "B", elsewhere=[])
    assert found(tale, "contract").seen.startswith("B never took a task from the table at DATABASE")


# --- lease ------------------------------------------------------------------------------------


def test_a_name_that_no_copy_was_given_is_no_owner() -> None:
    tale = TableTale.leased().put("x").claims("A", "x", owner="worker")
    assert 'the owner "worker", which is no copy\'s OWNER' in found(tale, "named").seen
    nobody = TableTale.leased().put("x").claims("A", "x", owner=None)
    assert "with no owner" in found(nobody, "named").seen


@pytest.mark.parametrize(
    ("ends_s", "expected"),
    [(2.0, Outcome.KEPT), (0.5, Outcome.KEPT), (2.4, Outcome.KEPT), (3.0, Outcome.BROKEN)],
)
def test_a_lease_has_its_length_and_may_be_shorter(ends_s: float, expected: Outcome) -> None:
    tale = TableTale.leased().put("x")
    assert outcome(tale.claims("A", "x", lease_s=tale.now_s + ends_s), "lease-length") is expected


def test_the_end_of_a_lease_is_a_number_of_seconds() -> None:
    text = TableTale.leased().put("x").claims("A", "x", lease_s=None, lease_end="2026-11-23")
    assert '"2026-11-23" as lease_end' in found(text, "lease-length").seen
    none = TableTale.leased().put("x").claims("A", "x", lease_s=None)
    assert "with no lease_end" in found(none, "lease-length").seen
    uptime = TableTale.leased().put("x").claims("A", "x", lease_s=-1.7e9)
    assert "was to end long before" in found(uptime, "lease-length").seen


def test_a_lease_that_runs_is_respected() -> None:
    tale = TableTale.leased().put("x").claims("A", "x").claims("B", "x")
    assert '"x" was taken from A 2.0 s before its lease ran out' in (
        found(tale, "lease-respected").seen
    )


def test_its_owner_may_give_a_task_back() -> None:
    tale = TableTale.leased().put("x").claims("A", "x").row("x", stage="waiting", owner=None)
    assert outcome(tale.does("B", "x"), "lease-respected") is Outcome.KEPT


def test_the_dead_give_nothing_back() -> None:
    tale = TableTale.leased().put("x").claims("A", "x").is_killed("A", "x").begins("A")
    tale.row("x", stage="waiting", owner=None)
    assert outcome(tale, "lease-respected") is Outcome.BROKEN


def test_who_works_beyond_the_lease_loses_the_task() -> None:
    tale = TableTale.leased().put(LONG).claims("A", LONG).wait(2.1).claims("B", LONG)
    seen = found(tale.done("A", LONG), "lease-kept").seen
    assert "its lease ran out, and B took it" in seen
    put_back = TableTale.leased().put(LONG).claims("A", LONG).wait(2.1)
    put_back.row(LONG, stage="waiting", owner=None)
    assert "and it was put back" in found(put_back, "lease-kept").seen


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_who_was_struck_is_not_to_blame_for_the_loss(how: str) -> None:
    tale = TableTale.leased().put("x").claims("A", "x")
    tale = tale.is_killed("A", "x") if how == "killed" else tale.is_frozen("A", "x")
    tale.wait(2.1).does("B", "x")
    assert outcome(tale, "lease-kept") is Outcome.KEPT
    assert outcome(tale, "taken-over") is Outcome.KEPT


def test_a_copy_that_was_thawed_is_to_blame_again() -> None:
    tale = TableTale.leased().put("x", LONG).claims("A", "x").is_frozen("A", "x").wait(2.1)
    tale.does("B", "x").is_thawed("A").claims("A", LONG).wait(2.1).claims("B", LONG)
    assert outcome(tale, "lease-kept") is Outcome.BROKEN


@pytest.mark.parametrize(
    ("extended", "stall_s", "expected"),
    [(True, 0.7, True), (True, 0.4, False), (False, 0.7, False), (False, 1.2, True)],
)
def test_a_machine_that_stood_still_may_be_to_blame_for_the_loss(
    extended: bool, stall_s: float, expected: bool
) -> None:
    tale = TableTale.leased().put(LONG).claims("A", LONG)
    if extended:
        tale.extends(LONG)
    tale.wait(2.1).claims("B", LONG)
    tasks = Tasks.of(tale.history)
    ((task, (lost,)),) = [(task, lost_at_work(tasks, task)) for task in tasks.all]
    end_s = lost.lease_was_s or 0.0
    stalls = [(end_s - stall_s, end_s + 1.0), (end_s + 2.0, end_s + 9.0)]
    assert lost_to_the_machine(task, lost, stalls, LEASE_S) is expected


def test_what_the_dead_had_must_be_taken_and_soon() -> None:
    tale = TableTale.leased().put("x", "y").claims("A", "x").is_killed("A", "x").does("B", "y")
    assert 'Nobody took "x" from the dead A' in found(tale, "taken-over").seen
    late = tale.wait(6).does("B", "x")
    assert "after its lease had run out" in found(late, "taken-over").seen


def test_who_is_at_work_may_come_later() -> None:
    tale = TableTale.leased().put("x", LONG).claims("A", "x").claims("B", LONG)
    tale.is_killed("A", "x").wait(1.5).extends(LONG).wait(1.5).extends(LONG)
    tale.done("B", LONG).settles(LONG).does("B", "x")
    assert outcome(tale, "taken-over") is Outcome.KEPT


def frozen_while_x() -> TableTale:
    """A is frozen while it has x; B takes it, and is at work when A goes on."""
    tale = TableTale.leased().put("x").claims("A", "x").is_frozen("A", "x").wait(2.1)
    return tale.claims("B", "x").is_thawed("A").done("A", "x", soon=True)


def test_a_former_owner_marks_nothing() -> None:
    seen = found(frozen_while_x().settles("x"), "owner-settles").seen
    assert seen == (
        '"x" was B\'s by then and not done by B, when A, which had lost it, marked it as done.'
    )
    good = frozen_while_x().done("B", "x").settles("x")
    assert outcome(good, "owner-settles") is Outcome.KEPT


def test_who_marks_its_own_too_early_marks_no_others() -> None:
    early = TableTale.leased().put("x").claims("A", "x").settles("x").done("A", "x")
    assert outcome(early, "owner-settles") is Outcome.KEPT
    dead = TableTale.leased().put("x").claims("A", "x").is_killed("A", "x").wait(2.1)
    dead.claims("B", "x").settles("x").done("B", "x")
    assert outcome(dead, "owner-settles") is Outcome.KEPT


def test_that_a_frozen_copy_says_done_is_forgiven_and_of_a_living_one_it_is_not() -> None:
    assert outcome(frozen_while_x().done("B", "x").settles("x"), "done") is Outcome.KEPT
    alive = TableTale.leased().put(LONG).claims("A", LONG).wait(2.1).claims("B", LONG)
    alive.done("A", LONG).done("B", LONG).settles(LONG)
    assert outcome(alive, "done") is Outcome.BROKEN


def test_extensions_in_a_row_are_told_as_the_first_and_the_last() -> None:
    tale = TableTale.leased().put(LONG).claims("A", LONG)
    for _ in range(6):
        tale.wait(0.5).extends(LONG)
    evidence = found(tale, "all-marked").evidence
    assert evidence
    assert sum("extended its lease" in line for line in evidence.lines) == 2
