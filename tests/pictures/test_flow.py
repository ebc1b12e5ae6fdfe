"""Tasks flowing through their stages: counts at every moment, and who had which task when."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from datetime import timedelta

import pytest

from labs.pictures.attempts import Ending
from labs.pictures.flow import BANDS, ENDINGS, draw_flow, levels, lives
from labs.task_queue.stages import MOVES, Move, Stage
from tests.pictures.runs import NOON, Tasks, a_worker_dies, every_move, many_tasks

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """All words that the picture itself shows, tool tips and alternative aside."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314


def test_the_counts_at_each_moment_add_up_to_the_tasks_that_are_there() -> None:
    steps = levels(sorted(a_worker_dies(), key=lambda moved: (moved.at, moved.number)))
    at = {step.at_s: step.counts for step in steps}
    assert at[0.0] == Counter({Stage.WAITING: 10})
    assert at[0.6] == Counter({Stage.WAITING: 7, Stage.PROCESSING: 3})
    assert at[6.0] == Counter({Stage.SUCCESS: 10})
    assert {step.counts.total() for step in steps[10:]} == {10}
    assert all(count >= 0 for step in steps for count in step.counts.values())


def test_moves_may_come_in_any_order_and_begin_in_the_middle() -> None:
    moves = a_worker_dies()
    assert draw_flow(reversed(moves)).text == draw_flow(moves).text
    later = [moved for moved in moves if moved.move is not Move.PUT]
    assert levels(later)[0].counts == Counter({Stage.WAITING: 10})


def test_a_lease_that_ran_out_is_seen_between_two_owners() -> None:
    (row,) = lives(a_worker_dies(), ["task-8"], 6.0)
    first, second = row.attempts
    assert (first.worker, first.ending, first.start_s, first.end_s) == (
        "alice",
        Ending.EXPIRED,
        0.6,
        2.6,
    )
    assert (second.worker, second.ending) == ("bob", Ending.DONE)
    picture = draw_flow(a_worker_dies())
    assert "1 by alice, 0.60 to 2.60 s, after 0.6 s: lease ran out." in picture.text
    assert "lease ran out: waits again" in texts(picture.svg)


def test_the_tasks_with_the_most_moves_are_shown_unless_others_are_asked_for() -> None:
    assert [row.name for row in lives(a_worker_dies(), None, 6.0)][:2] == ["task-8", "task-9"]
    assert len(lives(a_worker_dies(), None, 6.0)) == 6
    picture = draw_flow(a_worker_dies(), tasks=["task-3", "nobody's"])
    assert "task-3: 1 done." in picture.text
    assert "nobody's: no attempt." in picture.text
    assert "task-8" not in picture.text


def test_a_task_that_nobody_settles_is_held_to_the_end_of_the_picture() -> None:
    stuck = Tasks().did("a", Move.PUT, 0).did("a", Move.CLAIM, 1, "alice").moves
    ends = draw_flow(stuck, until=NOON + timedelta(seconds=9))
    assert "1 by alice, 1.00 to 9.00 s, after 1.0 s: held." in ends.text
    assert "At 9.0 s: 1 PROCESSING." in ends.text
    assert "Stages over 1.0 seconds" in draw_flow(stuck).text


@pytest.mark.parametrize("move", Move)
def test_every_move_of_the_table_is_counted_and_each_out_of_processing_ends_a_bar(
    move: Move,
) -> None:
    said = " ".join(draw_flow(every_move()).text.split())
    assert re.search(rf"[: ]\d {move}[,.]", said), said
    assert (move in ENDINGS) == (Stage.PROCESSING in MOVES[move].sources)


def test_each_way_to_end_is_told() -> None:
    said = draw_flow(every_move()).text
    for words in ("alice, 1.00 to 2.00 s, after 1.0 s: retried.", "handed back.", "lease ran out."):
        assert words in said
    assert "failed (its lease ran out)." in said
    assert "failed (refused, unclaimed)." in said
    assert "At 7.0 s: 1 PROCESSING, 2 FAIL." in said, "what was purged is nowhere"


def test_the_bands_are_named_and_lie_upon_one_another() -> None:
    picture = draw_flow(many_tasks())
    assert set(BANDS) == set(Stage)
    names = texts(picture.svg)
    assert names.count("WAITING") == names.count("SUCCESS") == 2, "in the band and below"
    assert names.count("FAIL") == 1, "too thin for its name"
    bands = re.findall(r'<path d="(M[^"]*z)" stroke-width="0.8"', picture.svg)
    tops = [min(map(float, re.findall(r"V([\d.]+)", band))) for band in bands]
    assert tops == sorted(tops, reverse=True), "each reaches higher than the one below"


def test_many_moves_are_drawn_in_no_more_than_there_is_room_for() -> None:
    picture = draw_flow(many_tasks())
    assert len(picture.svg) < 100_000
    assert "2000 tasks. Moves: 2000 put, 2000 claim, 1900 succeed, 100 fail." in picture.text
    assert len(picture.text.splitlines()) < 30


def test_nothing_at_all_is_a_picture_too() -> None:
    assert draw_flow([]).text == "Stages over time: no task moved."
    ElementTree.fromstring(draw_flow([]).svg)  # noqa: S314


@pytest.mark.parametrize("name", ["<b>&\"'", "a\nb\tc", "\U0001f407" * 50, "]]>", "a\x00b\x1b"])
def test_any_id_and_owner_make_a_well_formed_picture(name: str) -> None:
    ElementTree.fromstring(draw_flow(Tasks().life(name, name, 0, 1, 2).moves).svg)  # noqa: S314
