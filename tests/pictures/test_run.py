"""The picture of a judged run: what kind it is the journal says."""

from __future__ import annotations

from labs.judge.judging import judge_journals
from labs.pictures.partitions import State
from labs.pictures.run import draw_run, moments
from tests.judge.job_tale import JobTale
from tests.judge.log_tale import LogTale
from tests.judge.tale import Tale


def too_early() -> LogTale:
    """One request was committed before it was done, one never done, one laid aside."""
    tale = LogTale().put("one", "two", "bad").put("three", partition=1).began()
    tale.did("A", "one").committed("two").laid_aside("bad").committed("bad").is_killed("A")
    return tale.did("B", "three")


def test_a_run_on_a_log_is_drawn_as_partitions_in_the_end() -> None:
    (end,) = moments(too_early().history)
    first, second, *others = end.lanes
    states = [(cell.label, cell.state, cell.by) for cell in first.cells]
    assert states == [
        ("one", State.DONE, "A"),
        ("two", State.LOST, ""),
        ("bad", State.FAILED, ""),
    ]
    assert (first.committed, second.committed) == (3, 1)
    assert [lane.cells for lane in others] == [(), ()]


def test_the_commit_that_was_too_early_is_drawn_before_the_end() -> None:
    events = too_early().events
    broken = judge_journals([events]).first_broken
    assert broken
    assert broken.evidence
    early, end = moments(too_early().history, broken.evidence.events)
    assert "offset 2 of partition 0 is committed" in early.title
    assert [cell.state for cell in early.lanes[0].cells][2] is State.WAITING
    picture = draw_run(events, only=broken.evidence.events, highlight=broken.evidence.body)
    assert early.title in picture.text
    assert end.title in picture.text
    assert picture.svg.endswith("</svg>")


def test_what_was_done_twice_says_so() -> None:
    tale = LogTale().put("x").began().done("A", "x").is_killed("A").did("B", "x")
    assert "done twice: B" in draw_run(tale.events).text


def test_jobs_stand_in_the_diagram_under_their_names() -> None:
    tale = JobTale().published("a job").looked_at("A", "a job").handled("B", "a job")
    text = draw_run(tale.events, highlight="a job").text
    assert "deliver a job" in text
    assert "job_type" not in text


def test_any_other_run_is_a_sequence_of_frames() -> None:
    tale = Tale().worker("A").published("x").handled("A", "x")
    assert "deliver x" in draw_run(tale.events).text
