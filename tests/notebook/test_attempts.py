"""From what was observed of jobs to the rows of the picture."""

from __future__ import annotations

from dataclasses import dataclass

from labs.notebook.attempts import observed_rows, told_rows
from labs.pictures.attempts import Attempt, Ending, JobRow
from labs.pictures.spans import Lane, Outcome, Span, Timeline


@dataclass(frozen=True)
class Seen:
    """What an observer is told."""

    job_id: str
    started_s: float
    ended_s: float
    outcome: str
    why: str = ""
    job_type: str = "DemoJob"


POLLED = [
    Seen("b", 101.0, 101.5, "failed", "KeyError: 'to'"),
    Seen("a", 100.0, 100.5, "not yet", "The handler returned False."),
    Seen("a", 102.0, 103.0, "done"),
]


def test_a_row_is_a_job_and_times_begin_with_the_first_attempt() -> None:
    assert observed_rows(POLLED) == [
        JobRow("a", (Attempt(0.0, 0.5, Ending.NOT_YET), Attempt(2.0, 3.0, Ending.DONE))),
        JobRow("b", (Attempt(1.0, 1.5, Ending.FAILED, why="KeyError: 'to'"),)),
    ]


def test_times_begin_with_the_queueing_where_that_is_known() -> None:
    first, second = observed_rows(POLLED, queued={"a": 99.0})
    assert (first.queued_s, first.attempts[0].start_s) == (0.0, 1.0)
    assert (second.queued_s, second.attempts[0].start_s) == (None, 2.0)


def test_a_row_may_be_a_type() -> None:
    (row,) = observed_rows(POLLED, by_type=True)
    assert (row.name, row.one_job) == ("DemoJob", False)
    assert [attempt.start_s for attempt in row.attempts] == [0.0, 1.0, 2.0]


def test_what_no_handler_knew_comes_back_and_what_was_no_job_has_a_row_too() -> None:
    stranger = Seen("", 0.0, 1.0, "unknown", "No handler knows it.", job_type="")
    (row,) = observed_rows([stranger])
    assert row == JobRow("no job", (Attempt(0, 1, Ending.NOT_YET, why="No handler knows it."),))
    assert [row.name for row in observed_rows([stranger], by_type=True)] == ["no job"]


def test_what_a_killed_worker_had_in_hand_was_lost_and_stands_beside_the_next_attempt() -> None:
    alice = Lane("alice", (Span("a", 0.0, 1.0, Outcome.CUT_OFF),))
    bob = Lane("bob", (Span("b", 0.5, 0.7), Span("a", 1.1, 2.0)))
    assert told_rows(Timeline((alice, bob), 2.0)) == [
        JobRow(
            "a",
            (Attempt(0.0, 1.0, Ending.LOST, "alice"), Attempt(1.1, 2.0, Ending.DONE, "bob")),
        ),
        JobRow("b", (Attempt(0.5, 0.7, Ending.DONE, "bob"),)),
    ]


def test_nothing_observed_is_no_row() -> None:
    assert observed_rows([]) == []
    assert told_rows(Timeline((), 0.0)) == []
