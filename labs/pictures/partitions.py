"""Partitions as lanes: each record a cell with its offset and key, and what became of it.

`Moment`s go in (the same lanes at one time or at several, drawn one under another), a
`Picture` comes out. A cell says in words how its record fares, and by whom; the flag in a
lane is the committed offset: what stands left of it, the group will never ask for again.
A queue is drawn as a lane too, with no offsets and no flag, so that both can be compared.
No meaning is in a colour alone. The same values give the same bytes.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from html import escape

from labs.pictures.letters import cut, plain
from labs.pictures.picture import Picture
from labs.pictures.sheet import (
    BLUE,
    GREY,
    HALO,
    INK,
    ORANGE,
    RED,
    VIOLET,
    Sign,
    rule,
    sheet,
    sign,
    words_at,
)

WIDTH, LEFT, RIGHT = 900, 140, 20
CELL, NARROWEST, WIDEST = 34, 40.0, 84.0  # a cell's height, and how wide it may be
MOST_TOLD = 24  # records of a lane that are told one by one
LANE, TITLE, GAP = 70, 24, 6  # the height of a lane, of a moment's title, and between moments


class State(StrEnum):
    """What became of a record (or a message)."""

    WAITING = "waiting"
    IN_WORK = "in work"
    DONE = "done"
    PUT_BACK = "put back"
    FAILED = "failed"
    LOST = "lost"
    """Never done, and nobody will ask for it again."""
    GONE = "gone"
    """Deleted by the broker: acknowledged, or past its retention."""


@dataclass(frozen=True)
class Cell:
    """A record in its place: its key (or whatever it is known by), its state, and at whose hands.

    `times`: how often its work was done, where that is more than once.
    """

    label: str
    state: State = State.WAITING
    by: str = ""
    offset: int | None = None
    times: int = 1


@dataclass(frozen=True)
class Lane:
    """A partition, or a queue: its records in order, who reads it, and the committed offset."""

    name: str
    cells: tuple[Cell, ...] = ()
    owner: str = ""
    committed: int | None = None
    """The offset of the first record that the group is not done with; None: none is committed."""


@dataclass(frozen=True)
class Moment:
    """All lanes at one time, and a sentence that says which."""

    title: str
    lanes: tuple[Lane, ...]


FILLS = {
    State.WAITING: f'fill="{GREY}" fill-opacity="0.10" stroke="{GREY}"',
    State.IN_WORK: f'fill="{ORANGE}" fill-opacity="0.22" stroke="{ORANGE}" stroke-width="2.4"',
    State.DONE: f'fill="{BLUE}" stroke="{BLUE}"',
    State.PUT_BACK: f'fill="none" stroke="{VIOLET}" stroke-width="1.6" stroke-dasharray="5 2"',
    State.FAILED: f'fill="{RED}" fill-opacity="0.25" stroke="{RED}" stroke-width="1.6"',
    State.LOST: f'fill="none" stroke="{RED}" stroke-width="2"',
    State.GONE: f'fill="none" stroke="{GREY}" stroke-dasharray="1 3"',
}


def draw_partitions(*moments: Moment) -> Picture:
    """The lanes at each moment, one under another, as an SVG 900 pixels wide, and in words."""
    lanes = [lane for moment in moments for lane in moment.lanes]
    most = max((len(lane.cells) for lane in lanes), default=0)
    room = WIDTH - LEFT - RIGHT
    width = min(max(room / max(most, 1), NARROWEST), WIDEST)
    fits = int(room / width)
    parts, y = [], 10.0
    for moment in moments:
        style = f'font-weight="bold" font-size="13" {INK}'
        parts.append(words_at(10, y + 16, cut(moment.title, 120), style))
        y += TITLE
        for lane in moment.lanes:
            parts += _lane(lane, y, width, fits)
            y += LANE
        y += GAP
    if any(lane.committed is not None for lane in lanes):
        parts += _legend(y + 8)
        y += 22
    return sheet("Partitions and their records", in_words(moments), parts, WIDTH, y + 4)


def in_words(moments: Sequence[Moment], width: int = 96) -> str:
    """Each moment's lanes as text: the picture's alternative."""
    if not moments:
        return "Partitions: nothing was seen."
    lines = []
    for moment in moments:
        lines += textwrap.wrap(f"{plain(moment.title)}:", width)
        for lane in moment.lanes:
            owner = f" ({plain(lane.owner)})" if lane.owner else ""
            flag = f"; committed {lane.committed}" if lane.committed is not None else ""
            line = f"{plain(lane.name)}{owner}: {_cells_in_words(lane.cells)}{flag}."
            lines += textwrap.wrap(
                line, width, initial_indent="  ", subsequent_indent="    ", break_long_words=True
            )
    return "\n".join(lines)


def _cells_in_words(cells: Sequence[Cell]) -> str:
    before, told = cells[:-MOST_TOLD], cells[-MOST_TOLD:]
    counts = Counter(cell.state for cell in before)
    summed = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    first = [f"{len(before)} before ({summed})"] if before else []
    return ", ".join([*first, *(_cell_in_words(cell) for cell in told)]) or "empty"


def _cell_in_words(cell: Cell) -> str:
    offset = f"{cell.offset} " if cell.offset is not None else ""
    return f"{offset}{cut(plain(cell.label), 40)} {_fate(cell)}"


def _fate(cell: Cell) -> str:
    """`done twice`, `in work: bob`."""
    often = "" if cell.times == 1 else " twice" if cell.times == 2 else f" {cell.times} times"
    by = f": {plain(cell.by)}" if cell.by else ""
    return f"{cell.state}{often}{by}"


def _lane(lane: Lane, top: float, width: float, fits: int) -> list[str]:
    y = top + 16
    parts = [words_at(10, y + 15, cut(lane.name, 20), f'font-weight="bold" {INK}')]
    if lane.owner:
        parts.append(words_at(10, y + 29, cut(lane.owner, 24), f'font-size="10" {INK}'))
    hidden = max(len(lane.cells) - fits, 0)
    cells = lane.cells[hidden:]
    end = LEFT + max(width * len(cells), width)
    parts.append(rule(LEFT, y + CELL + 3, end, y + CELL + 3, f'stroke="{GREY}"'))
    if hidden:
        style = f'text-anchor="end" font-size="10" {INK}'
        parts.append(words_at(LEFT - 4, y + CELL + 14, f"{hidden} before", style))
    for index, cell in enumerate(cells):
        parts += _cell(cell, LEFT + index * width, y, width)
    if lane.committed is not None:
        before = sum(
            cell.offset is not None and cell.offset < lane.committed for cell in lane.cells
        )
        parts += _flag(LEFT + max(before - hidden, 0) * width, y, lane.committed)
    return parts


def _cell(cell: Cell, x: float, y: float, width: float) -> list[str]:
    middle, room = x + width / 2, int((width - 6) / 5.6)
    tip = escape(plain(_cell_in_words(cell)))
    ink = 'fill="#ffffff"' if cell.state is State.DONE else INK
    faint = ' opacity="0.65"' if cell.state is State.GONE else ""
    parts = [
        f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{width - 4:.1f}" height="{CELL}" rx="3" '
        f"{FILLS[cell.state]}><title>{tip}</title></rect>",
    ]
    if cell.state is State.LOST:
        parts.append(sign(Sign.CROSS, x + width - 8, y + 2, "lost"))
    centred = f'text-anchor="middle" pointer-events="none"{faint} {ink}'
    parts.append(words_at(middle, y + 14, cut(cell.label, room), f'font-size="11" {centred}'))
    ways = (_fate(cell), _fate(replace(cell, by="")), str(cell.state))
    fate = next((way for way in ways if len(way) <= room + 1), cut(ways[-1], room + 1))
    parts.append(words_at(middle, y + 27, fate, f'font-size="9.5" {centred}'))
    if cell.offset is not None:
        style = f'text-anchor="middle" font-size="10" {INK}'
        parts.append(words_at(middle, y - 4, str(cell.offset), style))
    return parts


def _flag(x: float, y: float, committed: int) -> list[str]:
    """The committed offset: a pole between two cells, with its number at the foot."""
    thick = 'class="qp-line" stroke="#1f2328" stroke-width="3"'
    return [
        rule(x, y - 8, x, y + CELL + 9, thick),
        f'<path d="M{x:.1f} {y - 9:.1f}l9 4l-9 4z" {INK}/>',
        words_at(x + 5, y + CELL + 14, f"committed {committed}", f'font-size="10" {HALO}'),
    ]


def _legend(y: float) -> list[str]:
    return [
        rule(LEFT, y - 9, LEFT, y + 3, 'class="qp-line" stroke="#1f2328" stroke-width="3"'),
        f'<path d="M{LEFT} {y - 10:.1f}l9 4l-9 4z" {INK}/>',
        words_at(
            LEFT + 14,
            y,
            "the committed offset: the group begins here when somebody takes the partition anew",
            f'font-size="11" {INK}',
        ),
    ]
