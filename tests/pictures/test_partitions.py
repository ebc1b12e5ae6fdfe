"""Partitions as lanes: records, what became of them, and how far the group has come."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from labs.pictures.partitions import Cell, Lane, Moment, State, draw_partitions
from tests.pictures.runs import a_replica_dies, long_lane, side_by_side

SVG = "{http://www.w3.org/2000/svg}"


def elements(svg: str, kind: str) -> list[ElementTree.Element]:
    """The picture's elements of one kind."""
    return list(ElementTree.fromstring(svg).iter(f"{SVG}{kind}"))  # noqa: S314


def texts(svg: str) -> list[str]:
    """All words that the picture itself shows, tool tips and alternative aside."""
    return [element.text or "" for element in elements(svg, "text")]


def flags(svg: str) -> list[float]:
    """Where the lanes' committed offsets stand, in pixels from the left."""
    poles = [p for p in elements(svg, "path") if p.get("stroke-width") == "3"]
    return [float(re.split(r"[M ]", pole.get("d", ""))[1]) for pole in poles][:-1]  # legend's last


def test_each_lane_is_told_with_its_reader_its_records_and_its_committed_offset() -> None:
    told = " ".join(draw_partitions(*a_replica_dies()).text.split())
    assert (
        "Before: alice is in the middle of offset 1: partition 0 (alice): 0 order-1 done: alice"
        in told
    )
    assert "1 order-4 in work: alice, 2 order-1 waiting, 3 order-4 put back; committed 1." in told
    assert "partition 2 (bob): empty." in told
    assert "1 order-4 done twice: bob" in told


def test_a_cell_says_its_offset_its_key_and_its_state() -> None:
    shown = texts(draw_partitions(*a_replica_dies()).svg)
    for word in ("partition 0", "alice", "order-4", "in work: alice", "put back", "failed: bob"):
        assert word in shown
    assert "committed 1" in shown


def test_the_flag_stands_between_what_is_committed_and_what_is_not() -> None:
    cells = tuple(Cell("k", offset=n) for n in range(4))

    def flag(committed: int) -> float:
        return flags(draw_partitions(Moment("m", (Lane("p", cells, "", committed),))).svg)[0]

    steps = [flag(n + 1) - flag(n) for n in range(4)]
    assert steps == pytest.approx([steps[0]] * 4)
    assert steps[0] > 40


def test_offsets_need_not_begin_at_zero() -> None:
    cells = tuple(Cell("k", offset=n) for n in (7, 8, 9))
    lanes = [Lane("p", cells, "", 8), Lane("q", cells, "", 7)]
    eight, seven = flags(draw_partitions(Moment("m", tuple(lanes))).svg)
    assert eight > seven


def test_a_queue_has_neither_offsets_nor_flag() -> None:
    (moment,) = side_by_side()
    queue = draw_partitions(Moment(moment.title, moment.lanes[:1]))
    assert "committed" not in " ".join(texts(queue.svg))
    assert "queue: a gone, b in work: alice, c gone." in queue.text
    both = draw_partitions(moment)
    assert "1 b lost; committed 2." in both.text
    assert len(flags(both.svg)) == 1


def test_of_too_many_records_the_last_are_drawn_and_the_others_counted() -> None:
    picture = draw_partitions(*long_lane())
    shown = texts(picture.svg)
    assert "99" in shown
    assert "0" not in shown
    assert "82 before" in shown
    assert "committed 85" in shown
    assert "76 before (76 done), 76 k1 done, 77 k2 done" in picture.text


def test_nothing_at_all_is_a_picture_too() -> None:
    assert draw_partitions().text == "Partitions: nothing was seen."
    ElementTree.fromstring(draw_partitions().svg)  # noqa: S314


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_look_of_its_own_and_is_said(state: State) -> None:
    picture = draw_partitions(Moment("m", (Lane("p", (Cell("k", state, offset=0),)),)))
    assert str(state) in texts(picture.svg)
    others = {
        draw_partitions(Moment("m", (Lane("p", (Cell("k", other, offset=0),)),))).svg
        for other in State
    }
    assert len({re.sub(r"(?s)<desc>.*?</desc>|aria-label=\"[^\"]*\"", "", o) for o in others}) == 7


@pytest.mark.parametrize("label", ["<b>&\"'", "a\nb\tc", "\U0001f407" * 50, "", "]]>", "a\x00b"])
def test_any_key_makes_a_well_formed_picture(label: str) -> None:
    lane = Lane(label, (Cell(label, State.DONE, label, 0),), label, 1)
    ElementTree.fromstring(draw_partitions(Moment(label, (lane,))).svg)  # noqa: S314
