"""Attempts of jobs over time: what the picture shows, and that it says so in words."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from labs.pictures.attempts import Attempt, Ending, JobRow, draw_attempts
from tests.pictures.runs import many_jobs, some_jobs

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """All words that the picture itself shows, tool tips and alternative aside."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314


def bars(svg: str) -> list[ElementTree.Element]:
    """The attempts that are wide enough for a bar."""
    root = ElementTree.fromstring(svg)  # noqa: S314
    return [
        element for element in root.iter(f"{SVG}rect") if element.find(f"{SVG}title") is not None
    ]


def test_each_attempt_is_told_with_its_worker_its_pause_and_its_end() -> None:
    said = draw_attempts(some_jobs()).text
    assert "deploy-1: 1 done, 3 not yet." in said
    assert "  2 by bob, 1.12 to 1.14 s, after 1.0 s: not yet." in said
    assert "  4 by bob, 7.16 to 7.90 s, after 4.0 s: done." in said
    assert "  1 by alice, 0.20 to 2.00 s, after 0.2 s: lost." in said
    assert "failed (KeyError: 'to' & more)." in said
    assert "nobody's: no attempt." in said


def test_the_picture_shows_names_counts_and_growing_pauses() -> None:
    shown = texts(draw_attempts(some_jobs()).svg)
    pauses = texts(draw_attempts(some_jobs()[:1]).svg)
    assert [word for word in pauses if word.endswith(".0 s")] == ["1.0 s", "2.0 s", "4.0 s"]
    for word in ("deploy-1", "1 done, 3 not yet", "alice", "bob", "queued", "at work", "failed"):
        assert word in shown


def test_between_different_jobs_there_is_no_pause() -> None:
    attempts = (Attempt(0, 1, Ending.DONE), Attempt(5, 6, Ending.DONE))
    one = draw_attempts([JobRow("one job", attempts)])
    several = draw_attempts([JobRow("a type", attempts, one_job=False)])
    assert "after 4.0 s" in one.text
    assert "4.0 s" in texts(one.svg)
    assert "after" not in several.text
    assert "4.0 s" not in texts(several.svg)


def test_the_legend_names_only_what_occurs() -> None:
    quiet = texts(draw_attempts([JobRow("a", (Attempt(0, 1, Ending.DONE),))]).svg)
    assert "done" in quiet
    assert not {"failed", "queued", "lost: nobody settled it"} & set(quiet)


def test_attempts_at_the_same_time_lie_one_under_the_other() -> None:
    (row,) = (row for row in some_jobs() if row.name == "in two hands")
    first, second = bars(draw_attempts([row]).svg)
    assert float(second.get("y", "")) > float(first.get("y", "")) + float(first.get("height", ""))
    apart = (row.attempts[0], Attempt(2.0, 3.0, Ending.DONE, "bob"))
    first, second = bars(draw_attempts([JobRow("one by one", apart)]).svg)
    assert second.get("y") == first.get("y")


def test_a_bar_is_as_long_as_the_attempt_was() -> None:
    row = JobRow("a", (Attempt(0, 1, Ending.DONE), Attempt(2, 5, Ending.DONE)))
    first, second = (float(bar.get("width", "")) for bar in bars(draw_attempts([row]).svg))
    assert second == pytest.approx(3 * first, rel=0.02)


def test_of_a_crowd_the_first_are_told_and_the_rest_is_counted() -> None:
    picture = draw_attempts(many_jobs())
    assert "quick: 200 done." in picture.text
    assert "  … 189 more …" in picture.text
    assert "… and 7 more rows." in picture.text
    assert "… and 7 more" in texts(picture.svg)
    assert len(picture.text.splitlines()) < 80


def test_a_crowd_too_dense_for_marks_keeps_its_bars_and_names_its_worker_once() -> None:
    picture = draw_attempts(many_jobs()[:1])
    assert len(bars(picture.svg)) == 199, "the last one is a mark"
    assert texts(picture.svg).count("w1") == 1


def test_ten_thousand_attempts_are_drawn_in_no_more_than_there_is_room_for() -> None:
    crowd = tuple(Attempt(n / 100, n / 100 + 0.005, Ending.DONE) for n in range(10_000))
    picture = draw_attempts([JobRow("quick", crowd, one_job=False)])
    assert len(picture.svg) < 200_000
    assert "quick: 10000 done." in picture.text
    last = Attempt(50.0, 50.005, Ending.FAILED)
    marked = draw_attempts([JobRow("quick", (*crowd[:5000], last, *crowd[5001:]), one_job=False)])
    assert "failed, 50.00 to" in marked.svg, "what ended otherwise is there"


def test_the_run_may_be_longer_than_its_attempts() -> None:
    row = JobRow("a", (Attempt(0, 1, Ending.DONE),))
    assert "Attempts over 10.0 seconds" in draw_attempts([row], length_s=10).text
    (short,) = bars(draw_attempts([row], length_s=10).svg)
    (long,) = bars(draw_attempts([row]).svg)
    assert float(short.get("width", "")) < float(long.get("width", "")) / 5


def test_nothing_at_all_is_a_picture_too() -> None:
    assert draw_attempts([]).text == "Attempts over time: no job."
    ElementTree.fromstring(draw_attempts([]).svg)  # noqa: S314


@pytest.mark.parametrize("name", ["<b>&\"'", "a\nb\tc", "\U0001f407" * 50, "", "]]>", "a\x00b\x1b"])
def test_any_name_makes_a_well_formed_picture(name: str) -> None:
    row = JobRow(name, (Attempt(0, 1, Ending.FAILED, name, name),))
    ElementTree.fromstring(draw_attempts([row]).svg)  # noqa: S314
