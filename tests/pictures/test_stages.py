"""The stages and their moves: the picture is the table, whatever stands in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from labs.pictures.stages import MEANINGS, PLACES, ROUTES, draw_stages
from labs.task_queue.stages import MOVES, Move, Stage, Way
from tests.pictures.gallery import GOLDEN

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """All words that the picture itself shows, tool tips and alternative aside."""
    shown = []
    for element in ElementTree.fromstring(svg).iter(f"{SVG}text"):  # noqa: S314
        title = element.find(f"{SVG}title")
        shown.append((element.text or "") + (title.tail or "" if title is not None else ""))
    return shown


def arrows(svg: str) -> list[tuple[str, str]]:
    """Where each arrow begins, and where its line ends, as `x y`."""
    lines = re.findall(r'<path class="qp-line"[^>]* d="M([\d. ]+)(?:L[\d. ]+)*L([\d. ]+)"', svg)
    return [(start, end) for start, end in lines]


@pytest.mark.parametrize("move", Move)
def test_every_move_of_the_table_is_shown_with_its_meaning(move: Move) -> None:
    picture = draw_stages()
    assert texts(picture.svg).count(str(move)) == len(MOVES[move].sources)
    assert f"<title>{move}: {MEANINGS[move]}</title>" in picture.svg
    assert MEANINGS[move] in " ".join(picture.text.split())


def test_every_stage_has_a_place_and_a_box() -> None:
    assert set(PLACES) == set(Stage)
    for stage in Stage:
        assert stage.name in texts(draw_stages().svg)


def test_there_is_an_arrow_for_each_pair_of_stages_and_a_route_prepared_for_it() -> None:
    pairs = {(source, way.target) for way in MOVES.values() for source in way.sources}
    assert set(ROUTES) == pairs, "a route for each pair, and none for pairs that are not there"
    assert len(set(arrows(draw_stages().svg))) == len(pairs)


def test_the_golden_picture_is_of_the_whole_table() -> None:
    """So that a table that grows can't leave the committed picture behind."""
    shown = texts((GOLDEN / "stages.svg").read_text(encoding="utf-8"))
    assert set(map(str, MOVES)) <= set(shown)


def test_a_move_that_is_new_in_the_table_is_in_the_picture_without_more_ado() -> None:
    pairs = [(a, b) for a in (None, *Stage) for b in (None, *Stage) if (a, b) not in ROUTES]
    for source, target in pairs:
        picture = draw_stages({**MOVES, Move.REFUSE: Way(frozenset({source}), target)})
        assert texts(picture.svg).count("refuse") == 1, (source, target)
        assert len(set(arrows(picture.svg))) == len(ROUTES), "one arrow in the place of another"
    grown = {**MOVES, Move.REQUEUE: Way(frozenset({Stage.FAIL, Stage.SUCCESS}), Stage.WAITING)}
    assert "requeue, from SUCCESS or FAIL to WAITING" in draw_stages(grown).text
    assert len(arrows(draw_stages(grown).svg)) == len(arrows(draw_stages().svg)) + 1


def test_a_move_that_is_gone_from_the_table_is_gone_from_the_picture() -> None:
    smaller = dict(MOVES)
    del smaller[Move.REFUSE]
    assert "refuse" not in texts(draw_stages(smaller).svg)
    assert "refuse" not in draw_stages(smaller).text


def test_with_a_runs_numbers_it_shows_them_and_what_was_not_made_is_faint() -> None:
    picture = draw_stages(
        sizes={"WAITING": 0, "PROCESSING": 2, "SUCCESS": 7}, made={Move.CLAIM: 9, Move.EXPIRE: 1}
    )
    shown = texts(picture.svg)
    assert {"claim ×9", "expire ×1", "2", "7", "0"} <= set(shown)
    assert "0 WAITING, 2 PROCESSING, 7 SUCCESS, 0 FAIL" in picture.text
    said = " ".join(picture.text.split())
    assert "attempt counts. Made 9 times." in said
    assert "at once. Made once." in said
    faint = re.findall(r"<text[^>]*opacity[^>]*>(?:<title>[^<]*</title>)?(\w+)", picture.svg)
    assert faint == ["retry", "release"], "beside expire, at the same arrow"
    groups = re.findall(r"<g opacity.*?</g>", picture.svg)
    assert len(groups) == len(set(arrows(draw_stages().svg))) - 2, "all other arrows whole"
    assert 'opacity="0.45"' not in draw_stages().svg
