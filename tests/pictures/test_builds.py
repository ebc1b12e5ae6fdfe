"""Builds over time: states as they were seen, ends, and which one took whose place."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from labs.pictures.builds import BuildRow, Change, Happening, draw_builds
from labs.pictures.builds_reading import Look, builds_of
from labs.queue_service.messages import Message, State
from tests.pictures.runs import A_KILL, NOON, every_state, many_builds, message, row

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """All words that the picture itself shows, tool tips and alternative aside."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314


def bars(svg: str) -> list[ElementTree.Element]:
    """The bars, each with its tip."""
    root = ElementTree.fromstring(svg)  # noqa: S314
    return [box for box in root.iter(f"{SVG}rect") if box.find(f"{SVG}title") is not None]


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def seen(*looks: tuple[float, Message]) -> list[BuildRow]:
    """What is read of messages that were looked at, each in a look of its own."""
    return list(builds_of((Look(at(second), [one]) for second, one in looks), start=NOON))


# --- What is read of the looks ----------------------------------------------------------------


def test_a_change_is_as_old_as_the_message_says_or_else_as_the_look_that_saw_it() -> None:
    blocked = message(1, State.BLOCKED, waits_for=20)
    running = message(1, State.RUNNING, owner="alice", started_at=at(1.42))
    done = replace(running, state=State.DONE, owner=None, ended_at=at(1.93))
    queued = message(1, State.QUEUED)
    (one,) = seen((0.5, blocked), (1.0, blocked), (1.3, queued), (1.5, running), (2.0, done))
    assert one.changes == (
        Change(0.0, State.BLOCKED, "by job 20"),
        Change(1.3, State.QUEUED),
        Change(1.42, State.RUNNING, "alice"),
        Change(1.93, State.DONE),
    )


def test_what_began_and_ended_between_two_looks_is_not_lost() -> None:
    done = message(1, State.DONE, started_at=at(0.1), ended_at=at(0.2))
    (one,) = seen((0.5, done))
    assert [change.state for change in one.changes] == [State.QUEUED, State.RUNNING, State.DONE]
    assert [change.at_s for change in one.changes] == [0.0, 0.1, 0.2]


def test_what_ended_as_it_came_was_never_queued() -> None:
    (one,) = seen((0.5, message(1, State.COLLAPSED, replaced_by="2", ended_at=NOON)))
    assert one.changes == (Change(0.0, State.COLLAPSED, "into 2"),)


def test_an_attempt_that_failed_and_its_second_claim_are_two_bars() -> None:
    first = message(1, State.RUNNING, owner="alice", started_at=at(1))
    again = message(1, State.QUEUED, started_at=at(1))
    second = message(1, State.RUNNING, owner="bob", started_at=at(3))
    (one,) = seen((1.1, first), (2.0, again), (3.1, second))
    assert [(change.state, change.why) for change in one.changes] == [
        (State.QUEUED, ""),
        (State.RUNNING, "alice"),
        (State.QUEUED, ""),
        (State.RUNNING, "bob"),
    ]


def test_the_build_that_took_the_place_is_named_and_connected() -> None:
    old = message(1, State.COLLAPSED, replaced_by="2", ended_at=at(1))
    rows = builds_of([Look(at(2), [message(2, State.BLOCKED, waits_for=10), old])], start=NOON)
    assert [(one.name, one.replaced_by) for one in rows] == [("1", "2"), ("2", None)]
    picture = draw_builds(rows)
    assert "collapsed (into 2) at 1.00 s" in picture.text
    assert picture.svg.count('stroke-dasharray="3 2"') == 1


def test_builds_stand_in_the_order_in_which_they_were_enqueued() -> None:
    late, early = message(1, State.QUEUED, enqueued_at=at(0.5)), message(2, State.QUEUED)
    rows = builds_of([Look(at(1), [late, early])], start=NOON)
    assert [one.name for one in rows] == ["2", "1"]


def test_a_change_that_is_told_late_does_not_come_before_what_was_seen() -> None:
    done = message(1, State.DONE, started_at=at(0.5), ended_at=at(0.4))
    (one,) = seen((1.0, message(1, State.BLOCKED)), (1.2, message(1, State.QUEUED)), (1.3, done))
    assert [change.at_s for change in one.changes] == [0.0, 1.2, 1.2, 1.2]


def test_what_had_ended_before_is_left_out() -> None:
    assert seen((1.0, message(1, State.DONE, started_at=at(-3), ended_at=at(-1)))) == []


def test_a_run_of_a_schedule_is_called_by_its_time() -> None:
    run = message(1, State.QUEUED, id="7@2026-01-01T12:07:00+00:00", build_id=None, job_id=7)
    (one,) = seen((1.0, run))
    assert one.name == "@12:07:00+00:00"
    assert one.job == "job 7 main"


# --- What is drawn ----------------------------------------------------------------------------


def test_each_state_and_each_end_is_told_in_words() -> None:
    said = " ".join(draw_builds(every_state(), A_KILL).text.split())
    assert "7 builds of 3 jobs" in said
    assert "101: queued from 0.10 s; running (alice) from 0.30 s; done at 2.50 s." in said
    assert "103: blocked (by job 10) from 0.90 s; collapsed (into 104) at 1.20 s." in said
    assert "301: frozen from 0.60 s; queued from 3.60 s; stopped at 4.00 s." in said
    assert "At 2.00 s: instance two is killed." in said
    assert said.endswith("At the end: 1 running, 2 done, 1 failed, 2 collapsed, 1 stopped.")


def test_no_state_is_told_by_its_colour_alone() -> None:
    shown = texts(draw_builds(every_state(), A_KILL).svg)
    for word in ("blocked by job 10", "frozen", "queued", "alice", "into 103", "running"):
        assert word in shown
    meanings = [word for word in shown if word.startswith(("collapsed: ", "failed: ", "frozen: "))]
    assert len(meanings) == 3


def test_the_legend_names_only_what_occurs() -> None:
    quiet = texts(draw_builds([row("1", "job 1", (0, State.DONE, ""))]).svg)
    assert "done" in quiet
    assert not [word for word in quiet if word.startswith(("blocked", "frozen", "running"))]


def test_a_bar_is_as_long_as_the_state_was_and_the_last_goes_on_to_the_end() -> None:
    change = row("1", "job 1", (0, State.QUEUED, ""), (1, State.RUNNING, "alice"))
    first, second = (
        float(bar.get("width", "")) for bar in bars(draw_builds([change], length_s=4).svg)
    )
    assert second == pytest.approx(3 * first)


def test_the_builds_of_a_job_stand_together_whenever_they_came() -> None:
    mixed = [row(name, job, (0, State.DONE, "")) for name, job in ("1a", "2b", "3a")]
    said = draw_builds(mixed).text
    assert re.findall(r"^ *(\w+):", said, re.MULTILINE) == ["a", "1", "3", "b", "2"]


def test_of_many_builds_the_first_are_drawn_and_the_rest_is_counted() -> None:
    picture = draw_builds(many_builds())
    assert "… and 28 more builds" in texts(picture.svg)
    assert "… and 28 more builds." in picture.text
    assert "At the end: 60 done." in picture.text
    assert len(picture.svg) < 60_000


def test_nothing_at_all_is_a_picture_too() -> None:
    assert draw_builds([]).text == "Builds over time: none."
    ElementTree.fromstring(draw_builds([]).svg)  # noqa: S314


@pytest.mark.parametrize("name", ["<b>&\"'", "a\nb\tc", "\U0001f407" * 50, "", "]]>", "a\x00b\x1b"])
def test_any_name_makes_a_well_formed_picture(name: str) -> None:
    changes = ((0.0, State.BLOCKED, name), (1.0, State.RUNNING, name), (2.0, State.FAILED, name))
    picture = draw_builds([row(name, name, *changes, into=name)], [Happening(1.0, name)])
    ElementTree.fromstring(picture.svg)  # noqa: S314
