"""Tasks flowing through their stages over time, and the lives of a few of them.

Moves go in, as a queue's events tell them (`replay` makes them from stored ones), a
`Picture` comes out. Above, how many tasks are in each stage: bands that lie one upon
another, SUCCESS at the bottom, so that one sees the work grow and the rest shrink. Below,
on the same seconds, a row for each of a few tasks: who claimed it when, and how that ended;
a lease that ran out is a broken line. The same values give the same bytes.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from labs.pictures.attempts import (
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Attempt,
    Ending,
    JobRow,
    draw_rows,
    legend,
    rows_in_words,
)
from labs.pictures.letters import cut
from labs.pictures.picture import Picture
from labs.pictures.sheet import GREY, HALO, INK, rule, sheet, time_axis, words_at
from labs.pictures.stages import FILLS, swatch
from labs.task_queue.stages import Move, Stage
from labs.task_queue.tasks import Moved

PLOT = 176  # the height of the bands together
LEAST = 15.0  # pixels: a band of less has no room for its name
MOST_LIVES = 6
OWNER = 18  # letters of an owner that are shown
TOLD = 5  # moments at which the text says how many tasks were where

BANDS = (Stage.SUCCESS, Stage.FAIL, Stage.PROCESSING, Stage.WAITING)
"""From the bottom to the top."""
ENDINGS = {
    Move.SUCCEED: Ending.DONE,
    Move.FAIL: Ending.FAILED,
    Move.RETRY: Ending.RETRIED,
    Move.EXPIRE: Ending.EXPIRED,
    Move.GIVE_UP: Ending.FAILED,
    Move.RELEASE: Ending.RELEASED,
}
"""A move out of PROCESSING -> how the attempt ended by it."""


@dataclass(frozen=True)
class Level:
    """How many tasks are in each stage from a moment on (seconds from the start)."""

    at_s: float
    counts: Counter[Stage]


def draw_flow(
    moves: Iterable[Moved], *, tasks: Sequence[str] | None = None, until: datetime | None = None
) -> Picture:
    """The stages over time, and a few tasks' lives, as an SVG 900 pixels wide, and in words.

    Args:
        moves: of all tasks, in any order.
        tasks: the ids of those whose lives are shown; default: the few with the most moves.
        until: where the picture ends; default: with the last move.
    """
    ordered = sorted(moves, key=lambda moved: (moved.at, moved.number, moved.id))
    if not ordered:
        return sheet("Stages over time", "Stages over time: no task moved.", [], WIDTH, 24)
    start, end = ordered[0].at, max(ordered[-1].at, until or ordered[-1].at)
    length_s = max((end - start).total_seconds(), 0.1)
    steps = levels(ordered)
    rows = lives(ordered, tasks, length_s)
    drawn, y = draw_rows(rows, TOP + PLOT + 40, length_s)
    meanings, bottom = legend(rows, y + 42, queued="put")
    axis = time_axis(length_s, LEFT, WIDTH - RIGHT, TOP, y)
    parts = [*_bands(steps, length_s), *axis, *_swatches(), *drawn, *meanings]
    text = "\n".join([*_in_words(ordered, steps, length_s), *rows_in_words(rows)])
    return sheet("Stages over time", text, parts, WIDTH, bottom + 14)


def levels(ordered: Sequence[Moved]) -> list[Level]:
    """How many tasks are in each stage after each move.

    A task whose first move is not among them was, before, where that move took it from.
    """
    counts: Counter[Stage] = Counter()
    known: set[str] = set()
    for moved in ordered:
        if moved.id not in known and moved.stage_from is not None:
            counts[moved.stage_from] += 1
        known.add(moved.id)
    found, start = [Level(0.0, counts.copy())], ordered[0].at
    for moved in ordered:
        if moved.stage_from is not None:
            counts[moved.stage_from] -= 1
        if moved.stage_to is not None:
            counts[moved.stage_to] += 1
        found.append(Level((moved.at - start).total_seconds(), counts.copy()))
    return found


def lives(ordered: Sequence[Moved], tasks: Sequence[str] | None, length_s: float) -> list[JobRow]:
    """A row for each of the tasks, in the order of their first moves."""
    if tasks is None:
        often = Counter(moved.id for moved in ordered).most_common(MOST_LIVES)
        tasks = [id_ for id_, _ in often]
    chosen: dict[str, list[Moved]] = {id_: [] for id_ in tasks}
    for moved in ordered:
        if moved.id in chosen:
            chosen[moved.id].append(moved)
    start = ordered[0].at
    return [_life(id_, own, start, length_s) for id_, own in chosen.items()]


def _life(id_: str, own: Sequence[Moved], start: datetime, length_s: float) -> JobRow:
    attempts: list[Attempt] = []
    put_s: float | None = None
    claim: Moved | None = None
    for moved in sorted(own, key=lambda moved: moved.number):
        at_s = (moved.at - start).total_seconds()
        if moved.move is Move.PUT:
            put_s = at_s
        elif moved.move is Move.REFUSE:
            attempts.append(Attempt(at_s, at_s, Ending.FAILED, why="refused, unclaimed"))
        elif moved.move is Move.CLAIM:
            claim = moved
        elif moved.move in ENDINGS:
            why = "its lease ran out" if moved.move is Move.GIVE_UP else ""
            attempts.append(_attempt(claim or moved, at_s, ENDINGS[moved.move], start, why))
            claim = None
    if claim is not None:
        attempts.append(_attempt(claim, length_s, Ending.HELD, start))
    return JobRow(id_, tuple(attempts), put_s)


def _attempt(claim: Moved, end_s: float, ending: Ending, start: datetime, why: str = "") -> Attempt:
    begun_s = (claim.at - start).total_seconds()
    return Attempt(begun_s, max(end_s, begun_s), ending, cut(claim.owner or "", OWNER), why)


def _bands(steps: Sequence[Level], length_s: float) -> list[str]:
    """A band a stage, one upon another, with its name where it is highest."""
    most = max(1, *(level.counts.total() for level in steps))
    scale, foot = (WIDTH - LEFT - RIGHT) / length_s, TOP + PLOT
    columns = _columns([(LEFT + level.at_s * scale, level.counts) for level in steps])
    below = [float(foot)] * len(columns)
    parts, names = [], []
    for stage in BANDS:
        above = [
            low - PLOT * counts[stage] / most
            for low, (_, _, counts) in zip(below, columns, strict=True)
        ]
        if above != below:
            parts.append(_band(stage, columns, below, above))
            names += _name(stage, columns, below, above)
        below = above
    many = f"{most} task{'s' if most > 1 else ''}"
    parts += [
        words_at(10, TOP + 12, many, f'font-weight="bold" {INK}'),
        words_at(10, TOP + 26, "in their stages", f'font-size="10" {INK}'),
        rule(LEFT - 6, TOP, WIDTH - RIGHT, TOP, f'stroke="{GREY}" stroke-width="0.6"'),
        rule(LEFT - 6, foot, WIDTH - RIGHT, foot, f'stroke="{GREY}"'),
    ]
    return [*parts, *names]


Column = tuple[float, float, Counter[Stage]]
"""From where to where, in pixels, and how many tasks are in each stage there."""


def _columns(points: Sequence[tuple[float, Counter[Stage]]]) -> list[Column]:
    """One for each pixel in which something changes, as it is at the pixel's end."""
    last_of = {int(x): (x, counts) for x, counts in points}
    kept = list(last_of.values())
    ends = [*(x for x, _ in kept[1:]), float(WIDTH - RIGHT)]
    return [(x, max(end, x), counts) for (x, counts), end in zip(kept, ends, strict=True)]


def _band(
    stage: Stage, columns: Sequence[Column], below: Sequence[float], above: Sequence[float]
) -> str:
    over = under = ""
    for (x, end, _), low, high in zip(columns, below, above, strict=True):
        over += f"V{high:.1f}H{end:.1f}"
        under = f"V{low:.1f}H{x:.1f}{under}"
    start = f"M{columns[0][0]:.1f} {below[0]:.1f}"
    return f'<path d="{start}{over}{under}z" stroke-width="0.8" {FILLS[stage]}/>'


def _name(
    stage: Stage, columns: Sequence[Column], below: Sequence[float], above: Sequence[float]
) -> list[str]:
    """The stage's name in the middle of the highest place, if that is high enough."""
    heights = [low - high for low, high in zip(below, above, strict=True)]
    highest = max(heights)
    if highest < LEAST:
        return []
    places = [index for index, height in enumerate(heights) if height > 0.92 * highest]
    at = max(places, key=lambda index: columns[index][1] - columns[index][0])
    middle = (columns[at][0] + columns[at][1]) / 2
    x = min(max(middle, LEFT + 50.0), WIDTH - RIGHT - 50.0)
    y = (below[at] + above[at]) / 2 + 4
    return [words_at(x, y, stage.name, f'text-anchor="middle" font-weight="bold" {HALO}')]


def _swatches() -> list[str]:
    """The stages and their looks, in the order of the bands from the top."""
    parts, x = [], float(LEFT)
    for stage in reversed(BANDS):
        parts += swatch(stage, x, TOP + PLOT + 20)
        x += 112
    return parts


def _in_words(ordered: Sequence[Moved], steps: Sequence[Level], length_s: float) -> list[str]:
    made = Counter(moved.move for moved in ordered)
    moves = ", ".join(f"{made[move]} {move}" for move in Move if made[move])
    tasks = len({moved.id for moved in ordered})
    many = "1 task" if tasks == 1 else f"{tasks} tasks"
    lines = textwrap.wrap(f"Stages over {length_s:.1f} seconds; {many}. Moves: {moves}.", 96)
    for index in range(TOLD):
        at_s = length_s * index / (TOLD - 1)
        counts = [level for level in steps if level.at_s <= at_s][-1].counts
        said = ", ".join(f"{counts[stage]} {stage.name}" for stage in Stage if counts[stage])
        lines.append(f"At {at_s:.1f} s: {said or 'none'}.")
    return lines
