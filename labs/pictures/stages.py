"""The stages of a task and the moves between them, drawn from the one table that stores obey.

`labs.task_queue.stages.MOVES` goes in, a `Picture` comes out: a box a stage, an arrow for
each pair of stages between which a move leads, and at the arrow the names of all its moves.
A pair that has no prepared route gets a curve of its own, so that no move of the table can
be missing. With numbers (how many tasks are where, how often each move was made) it shows a
run: what was not made is faint. The same values give the same bytes.
"""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from labs.pictures.letters import plain
from labs.pictures.picture import Picture
from labs.pictures.sheet import BLUE, GREY, INK, ORANGE, RED, sheet, words_at
from labs.task_queue.stages import MOVES, Move, Stage, Way

WIDTH, HEIGHT = 900, 316
BOX_WIDTH, BOX_HEIGHT = 132, 56
WORD = 15  # pixels from one move's name to the next, at the same arrow
FAINT = 'opacity="0.45"'

Point = tuple[float, float]
Between = tuple[Stage | None, Stage | None]

FILLS = {
    Stage.WAITING: f'fill="{GREY}" fill-opacity="0.16" stroke="{GREY}"',
    Stage.PROCESSING: f'fill="{ORANGE}" fill-opacity="0.30" stroke="{ORANGE}"',
    Stage.SUCCESS: f'fill="{BLUE}" stroke="{BLUE}"',
    Stage.FAIL: f'fill="{RED}" fill-opacity="0.30" stroke="{RED}"',
}
"""How a stage looks, in all pictures of tasks."""
INKS = {stage: 'fill="#ffffff"' if stage is Stage.SUCCESS else INK for stage in Stage}

PLACES: dict[Stage, Point] = {
    Stage.WAITING: (190, 92),
    Stage.PROCESSING: (520, 92),
    Stage.SUCCESS: (756, 92),
    Stage.FAIL: (520, 262),
}
"""The middle of each stage's box."""

MEANINGS = {
    Move.PUT: "somebody puts it in",
    Move.CLAIM: "an owner takes it, alone; the attempt counts",
    Move.SUCCEED: "its owner says: done",
    Move.FAIL: "its owner says: failed, and no attempt is left",
    Move.RETRY: "its owner says: failed, and attempts are left; it waits again, after a pause",
    Move.EXPIRE: "its lease ran out; it waits again, at once",
    Move.GIVE_UP: "its lease ran out, and no attempt is left",
    Move.RELEASE: "its owner hands it back unworked; the attempt does not count",
    Move.REFUSE: "it can never be worked on here; it fails unclaimed",
    Move.REQUEUE: "somebody wants it tried anew; its attempts begin again",
    Move.PURGE: "somebody deletes what was settled long ago",
}


@dataclass(frozen=True)
class Route:
    """The way of an arrow: its corners (the last is the tip), and where its words stand."""

    points: tuple[Point, ...]
    words: Point
    """Where the word stands that is next to the arrow."""
    anchor: str = "middle"
    below: bool = False
    """Whether further words stand below that one; else above."""


ROUTES: dict[Between, Route] = {
    (None, Stage.WAITING): Route(((24, 92), (124, 92)), (70, 84)),
    (Stage.WAITING, Stage.PROCESSING): Route(((256, 80), (454, 80)), (355, 72)),
    (Stage.PROCESSING, Stage.WAITING): Route(((454, 104), (256, 104)), (355, 121), below=True),
    (Stage.PROCESSING, Stage.SUCCESS): Route(((586, 92), (690, 92)), (636, 84)),
    (Stage.PROCESSING, Stage.FAIL): Route(
        ((520, 120), (520, 234)), (530, 172), "start", below=True
    ),
    (Stage.WAITING, Stage.FAIL): Route(((212, 120), (212, 248), (454, 248)), (355, 240)),
    (Stage.FAIL, Stage.WAITING): Route(
        ((454, 276), (168, 276), (168, 120)), (355, 293), below=True
    ),
    (Stage.SUCCESS, None): Route(((822, 92), (886, 92)), (852, 84)),
    (Stage.FAIL, None): Route(((586, 262), (690, 262)), (636, 254)),
}
"""Pairs of stages -> the arrow from one to the other; others get a curve."""


def draw_stages(
    moves: Mapping[Move, Way] = MOVES,
    *,
    sizes: Mapping[str, int] | None = None,
    made: Mapping[Move, int] | None = None,
) -> Picture:
    """The table of moves as an SVG 900 pixels wide, and in words.

    Args:
        moves: the table.
        sizes: how many tasks are in each stage, by its name, as `TaskQueue.sizes` says.
        made: how often each move was made.
    """
    parts: list[str] = []
    for between, names in _arrows(moves).items():
        parts += _arrow(ROUTES.get(between) or _curve(*between), names, made)
    for stage in Stage:
        parts += _box(stage, None if sizes is None else sizes.get(stage.name, 0))
    return sheet("The stages of a task", in_words(moves, sizes, made), parts, WIDTH, HEIGHT)


def in_words(
    moves: Mapping[Move, Way],
    sizes: Mapping[str, int] | None = None,
    made: Mapping[Move, int] | None = None,
) -> str:
    """The table as text, one line a move: the picture's alternative."""
    lines = ["The stages of a task, and the moves between them."]
    if sizes is not None:
        counts = ", ".join(f"{sizes.get(stage.name, 0)} {stage.name}" for stage in Stage)
        lines.append(f"Tasks: {counts}.")
    for move, way in moves.items():
        sources = " or ".join(_named(stage) for stage in _in_order(way.sources))
        meaning = f": {MEANINGS[move]}" if move in MEANINGS else ""
        times = "" if made is None else f" Made {_times(made.get(move, 0))}."
        line = f"{move}, from {sources} to {_named(way.target)}{meaning}.{times}"
        lines += textwrap.wrap(line, 96, subsequent_indent="  ")
    return "\n".join(lines)


def _named(stage: Stage | None) -> str:
    return "outside" if stage is None else stage.name


def _in_order(stages: frozenset[Stage | None]) -> list[Stage | None]:
    return sorted(stages, key=lambda stage: -1 if stage is None else stage)


def _times(count: int) -> str:
    return "never" if count == 0 else "once" if count == 1 else f"{count} times"


def _arrows(moves: Mapping[Move, Way]) -> dict[Between, list[Move]]:
    """All pairs of stages between which a move leads, with their moves."""
    arrows: dict[Between, list[Move]] = defaultdict(list)
    for move, way in moves.items():
        for source in _in_order(way.sources):
            arrows[source, way.target].append(move)
    return arrows


def _arrow(route: Route, names: list[Move], made: Mapping[Move, int] | None) -> list[str]:
    unused = made is not None and not any(made.get(move) for move in names)
    x, y = route.words
    y -= 0 if route.below else WORD * (len(names) - 1)
    parts = [_line(route.points)]
    for index, move in enumerate(names):
        count = 0 if made is None else made.get(move, 0)
        said = f"{move} ×{count}" if count else str(move)
        weight = ' font-weight="bold"' if count else ""
        faint = f" {FAINT}" if made is not None and not count and not unused else ""
        tip = f"<title>{escape(f'{move}: {MEANINGS.get(move, str())}')}</title>"
        parts.append(
            f'<text x="{x:.1f}" y="{y + index * WORD:.1f}" text-anchor="{route.anchor}"{weight}'
            f"{faint} {INK}>{tip}{escape(plain(said))}</text>"
        )
    return [f"<g {FAINT}>{''.join(parts)}</g>"] if unused else parts


def _line(points: tuple[Point, ...]) -> str:
    """The corners joined, and a tip at the last."""
    (x1, y1), (x, y) = points[-2:]
    long = math.hypot(x - x1, y - y1) or 1.0
    ex, ey = (x - x1) / long, (y - y1) / long  # whither it points
    foot_x, foot_y = x - 9 * ex, y - 9 * ey
    way = "".join(f"L{a:.1f} {b:.1f}" for a, b in (*points[1:-1], (foot_x, foot_y)))
    return (
        f'<path class="qp-line" stroke="#1f2328" stroke-width="1.4" fill="none" '
        f'd="M{points[0][0]:.1f} {points[0][1]:.1f}{way}"/>'
        f'<path {INK} d="M{x:.1f} {y:.1f}L{foot_x - 4.5 * ey:.1f} {foot_y + 4.5 * ex:.1f}'
        f'L{foot_x + 4.5 * ey:.1f} {foot_y - 4.5 * ex:.1f}z"/>'
    )


def _curve(source: Stage | None, target: Stage | None) -> Route:
    """A bend from box to box, for a pair that has no prepared route."""
    x1, y1 = PLACES[source] if source is not None else (WIDTH / 2, HEIGHT - 4.0)
    x2, y2 = PLACES[target] if target is not None else (WIDTH / 2, HEIGHT - 4.0)
    if source is target:
        top = y1 - BOX_HEIGHT / 2
        return Route(
            ((x1 - 30, top), (x1 - 30, top - 34), (x1 + 30, top - 34), (x1 + 30, top)),
            (x1, top - 40),
        )
    reach = BOX_HEIGHT / 2 * (1 if y2 >= y1 else -1)
    start, tip = (x1 + 44, y1 + reach), (x2 + 44, y2 - reach)
    if y1 == y2:  # over the boxes between them
        start, tip = (x1 + 44, y1 - BOX_HEIGHT / 2), (x2 + 44, y2 - BOX_HEIGHT / 2)
    lift = -40.0 if y1 == y2 else 0.0
    middle = ((start[0] + tip[0]) / 2, (start[1] + tip[1]) / 2 + lift)
    return Route((start, middle, tip), (middle[0], middle[1] - 8))


def _box(stage: Stage, count: int | None) -> list[str]:
    x, y = PLACES[stage]
    centred = f'text-anchor="middle" {INKS[stage]}'
    left, top = x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2
    size = f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"'
    parts = [
        f'<rect class="qp-paper" fill="#ffffff" x="{left:g}" y="{top:g}" {size}/>',
        f'<rect x="{left:g}" y="{top:g}" {size} stroke-width="2" {FILLS[stage]}/>',
    ]
    bold = f'font-size="14" font-weight="bold" {centred}'
    parts.append(words_at(x, y + (5 if count is None else -3), stage.name, bold))
    if count is not None:
        parts.append(words_at(x, y + 18, f"{count}", f'font-size="16" {centred}'))
    return parts


def swatch(stage: Stage, x: float, y: float) -> list[str]:
    """A small field with the stage's look, and its name: a legend's entry."""
    return [
        f'<rect x="{x:.1f}" y="{y - 10:.1f}" width="16" height="11" rx="2" {FILLS[stage]}/>',
        words_at(x + 21, y, stage.name, f'font-size="11" {INK}'),
    ]
