"""How many there are of each: bars that can be compared, and the numbers in words."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from labs.pictures.tally import draw_tally


def widths(svg: str) -> list[float]:
    """Of the bars, the paper left out."""
    return [float(width) for width in re.findall(r'width="([\d.]+)" height="16"', svg)]


def test_twice_as_many_is_twice_as_long_and_nothing_is_no_bar() -> None:
    picture = draw_tally("Commits", {"1": 20, "2 to 4": 10, "more": 0}, unit="commits")
    first, second, third = widths(picture.svg)
    assert first == pytest.approx(2 * second)
    assert third == 0
    assert "  2 to 4: 10 commits" in picture.text
    assert "    more: 0 commits" in picture.text


def test_of_many_kinds_the_first_are_drawn_and_the_rest_is_counted() -> None:
    picture = draw_tally("Many", {f"{n}": n for n in range(40)})
    assert len(widths(picture.svg)) == 24
    assert picture.text.endswith("… and 16 more")


@pytest.mark.parametrize("counts", [{}, {"nothing": 0}])
def test_nothing_at_all_is_a_picture_too(counts: dict[str, float]) -> None:
    ElementTree.fromstring(draw_tally("None", counts).svg)  # noqa: S314


@pytest.mark.parametrize("name", ["<b>&\"'", "a\nb", "\U0001f407" * 50, "", "]]>", "a\x00b\x1b"])
def test_any_name_makes_a_well_formed_picture(name: str) -> None:
    ElementTree.fromstring(draw_tally(name, {name: 1}, unit=name).svg)  # noqa: S314
