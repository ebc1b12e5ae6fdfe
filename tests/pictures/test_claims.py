"""The life of a task, drawn: who had it when, until when, and what its row said."""

from __future__ import annotations

from labs.pictures.claims_reading import life
from labs.pictures.run import draw_run
from tests.judge.table_tale import TableTale


def frozen() -> TableTale:
    """A is frozen while it has the task, B takes it, and A marks it as done."""
    tale = TableTale.leased().put("x", "y").claims("A", "x").extends("x").is_frozen("A", "x")
    tale.wait(2.1).claims("B", "x").is_thawed("A").done("A", "x", soon=True)
    return tale.settles("x").done("B", "x")


def test_each_copy_that_had_the_task_has_a_lane_with_its_claim_and_its_lease() -> None:
    drawn = life(frozen().history, "x")
    first, second = drawn.lanes
    assert (first.copy, second.copy) == ("A", "B")
    assert len(first.claims[0].leases) == 2
    assert len(first.frozen) == 1
    assert second.claims[0].from_s > first.claims[0].leases[-1][1]


def test_the_row_says_whose_it_was_from_when() -> None:
    assert [said.words for said in life(frozen().history, "x").row] == [
        "waiting",
        "A's",
        "B's",
        "success",
    ]


def test_a_kill_ends_the_work_and_a_copy_that_did_it_without_a_claim_is_there_too() -> None:
    tale = TableTale.leased().put("x").claims("A", "x").is_killed("A", "x").wait(2.1)
    lane = life(tale.claims("B", "x").history, "x").lanes[0]
    assert lane.killed_s == lane.claims[0].to_s
    both = TableTale().put("x").claims("A", "x").done("A", "x").done("B", "x")
    assert [lane.copy for lane in life(both.history, "x").lanes] == ["A", "B"]


def test_the_hold_is_there_where_it_was() -> None:
    tale = TableTale().put("x").both_contend().claims("A", "x").claims("B", "x")
    assert len(life(tale.history, "x").held) == 1


def test_a_judged_run_on_a_table_is_drawn_as_the_life_of_the_task_that_is_shown() -> None:
    picture = draw_run(frozen().events, highlight="x")
    assert picture.svg.startswith("<svg")
    assert "The task x:" in picture.text
    assert "frozen from" in picture.text
    assert "claimed it at" in picture.text
    assert "its row: waiting from" in picture.text


def test_without_a_task_in_question_the_busiest_one_is_drawn() -> None:
    assert "The task x:" in draw_run(frozen().events).text
    assert "The task :" in draw_run(TableTale().events).text
