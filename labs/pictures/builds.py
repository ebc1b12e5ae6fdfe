"""Builds over time, job by job: in which state each was from when to when, and how it ended.

`BuildRow`s go in (`builds_reading` makes them from messages that somebody has looked at), a
`Picture` comes out. A state is told by the look of its bar (grey: queued, striped: blocked,
dotted: frozen, orange: running) and by the word in it, an end by its mark; never by colour
alone. From a build that was collapsed a line leads to the one that took its place. Times
are seconds from the start of the run. The same values give the same bytes.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from labs.pictures.letters import cut, plain, width_of
from labs.pictures.picture import Picture
from labs.pictures.sheet import (
    BLUE,
    GREY,
    HALO,
    INK,
    ORANGE,
    VIOLET,
    Sign,
    rule,
    sheet,
    sign,
    time_axis,
    words_at,
)
from labs.queue_service.messages import LIVE, State

WIDTH, LEFT, RIGHT, TOP = 900, 150, 40, 24
HEADING, LINE_HEIGHT, BAR, PAD = 22, 26, 16, 6  # a job's name, a build's line, its bar, a gap
SMALL = 5.6  # pixels that a letter takes at the size of 10
MARK = 18.0  # pixels from an end's mark to the word beside it
MOST_ROWS = 32
NAME, WHY = 19, 60

FILLS = {
    State.QUEUED: f'fill="{GREY}" fill-opacity="0.16" stroke="{GREY}"',
    State.BLOCKED: f'fill="{VIOLET}" fill-opacity="0.10" stroke="{VIOLET}"',
    State.FROZEN: f'fill="none" stroke="{BLUE}" stroke-width="1.6" stroke-dasharray="2 2"',
    State.RUNNING: f'fill="{ORANGE}" fill-opacity="0.30" stroke="{ORANGE}"',
}
SIGNS = {
    State.DONE: Sign.TICK,
    State.FAILED: Sign.CROSS,
    State.COLLAPSED: Sign.INTO,
    State.STOPPED: Sign.STOP,
}
MEANINGS = {
    State.QUEUED: "queued: can be claimed",
    State.BLOCKED: "blocked: must wait for another",
    State.FROZEN: "frozen: a window is closed",
    State.RUNNING: "running",
    State.DONE: "done",
    State.FAILED: "failed: no attempt is left",
    State.COLLAPSED: "collapsed: a newer one took its place",
    State.STOPPED: "stopped",
}


@dataclass(frozen=True)
class Change:
    """From when on (seconds) a build is in a state."""

    at_s: float
    state: State
    why: str = ""
    """Who runs it, what it waits for, into which one it was collapsed."""


@dataclass(frozen=True)
class BuildRow:
    """A build, the job it is of, and its changes in the order of time."""

    name: str
    job: str
    changes: tuple[Change, ...]
    replaced_by: str | None = None
    """The name of the build into which it was collapsed."""


@dataclass(frozen=True)
class Happening:
    """Something that befell all of them, such as the end of an instance."""

    at_s: float
    words: str


def draw_builds(
    rows: Sequence[BuildRow],
    happenings: Sequence[Happening] = (),
    *,
    length_s: float | None = None,
) -> Picture:
    """The builds as an SVG of 900 pixels' width, those of a job together, and in words.

    `length_s`: how long the run was; default: until the last change.
    """
    times = [change.at_s for row in rows for change in row.changes]
    length_s = max(length_s or 0.0, *times, *(one.at_s for one in happenings), 0.1, 0.1)
    rows = by_job(rows)
    scale = (WIDTH - LEFT - RIGHT) / length_s
    placed, bottom = _placed(rows[:MOST_ROWS])
    drawn = [
        *_headings(placed),
        *_connections(placed, scale),
        *(part for row, y in placed for part in _row(row, y, scale, length_s)),
    ]
    if len(rows) > MOST_ROWS:
        drawn.append(words_at(10, bottom + 12, f"… and {len(rows) - MOST_ROWS} more builds"))
        bottom += 20
    axis = time_axis(length_s, LEFT, WIDTH - RIGHT, TOP, bottom)
    befell = [part for one in happenings for part in _happening(one, bottom, scale)]
    meanings, end = _legend(rows, bottom + 42)
    text = in_words(rows, happenings, length_s)
    return sheet("Builds over time", text, [*axis, *befell, *drawn, *meanings], WIDTH, end + 14)


def by_job(rows: Sequence[BuildRow]) -> list[BuildRow]:
    """The builds of a job one under the other; jobs in the order in which they first occur."""
    jobs = list(dict.fromkeys(row.job for row in rows))
    return sorted(rows, key=lambda row: jobs.index(row.job))


def in_words(rows: Sequence[BuildRow], happenings: Sequence[Happening], length_s: float) -> str:
    """A line a build: the picture's alternative."""
    if not rows:
        return "Builds over time: none."
    jobs = len({row.job for row in rows})
    lines = [
        f"Builds over {length_s:.1f} seconds; {_many(len(rows), 'build')} of {_many(jobs, 'job')}."
    ]
    job = None
    for row in rows[:MOST_ROWS]:
        if row.job != job:
            job = row.job
            lines.append(f"{cut(plain(job), 60)}:")
        told = "; ".join(_told(change) for change in row.changes)
        line = f"{cut(plain(row.name), 40)}: {told or 'not seen'}."
        lines += textwrap.wrap(line, 96, initial_indent="  ", subsequent_indent="    ")
    if len(rows) > MOST_ROWS:
        lines.append(f"… and {len(rows) - MOST_ROWS} more builds.")
    lines += [f"At {one.at_s:.2f} s: {cut(plain(one.words), 80)}." for one in happenings]
    ends = Counter(row.changes[-1].state for row in rows if row.changes)
    summed = ", ".join(f"{ends[state]} {state}" for state in State if ends[state])
    return "\n".join([*lines, f"At the end: {summed or 'nothing'}."])


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _told(change: Change) -> str:
    why = f" ({cut(plain(change.why), WHY)})" if change.why else ""
    since = "from" if change.state in LIVE else "at"
    return f"{change.state}{why} {since} {change.at_s:.2f} s"


# --- The parts of the drawing -----------------------------------------------------------------


Placed = Sequence[tuple[BuildRow, float]]
"""Builds, each with the middle of its line."""


def _placed(rows: Sequence[BuildRow]) -> tuple[Placed, float]:
    """Each build's place, and where all of them end."""
    placed: list[tuple[BuildRow, float]] = []
    y, job = float(TOP), None
    for row in rows:
        if row.job != job:
            y += HEADING + (PAD if placed else 0)
            job = row.job
        placed.append((row, y + LINE_HEIGHT / 2))
        y += LINE_HEIGHT
    return placed, y + PAD


def _headings(placed: Placed) -> list[str]:
    above = LINE_HEIGHT / 2 + 7
    firsts = {row.job: y for row, y in reversed(placed)}
    return [
        words_at(10, y - above, cut(job, 70), f'font-weight="bold" {INK}')
        for job, y in reversed(firsts.items())
    ]


def _row(row: BuildRow, y: float, scale: float, length_s: float) -> list[str]:
    parts = [words_at(LEFT - 10, y + 4, cut(row.name, NAME), f'text-anchor="end" {INK}')]
    marks: list[str] = []
    ends = [*(change.at_s for change in row.changes[1:]), length_s]
    for change, end_s in zip(row.changes, ends, strict=True):
        x, end = LEFT + change.at_s * scale, LEFT + end_s * scale
        if change.state in LIVE:
            parts += _bar(change, x, end, y, end_s)
        else:
            marks.append(sign(SIGNS[change.state], x, y, _tip(change, change.at_s)))
            marks += _beside(change, x, y)
    return [*parts, *marks]


def _bar(change: Change, x: float, end: float, y: float, end_s: float) -> list[str]:
    """A bar with the look of its state, and in it a word if there is room for one."""
    width, top = max(end - x, 1.5), y - BAR / 2
    tip = f"<title>{escape(plain(_tip(change, end_s)))}</title>"
    box = f'x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{BAR}" rx="2"'
    parts = [f"<rect {box} {FILLS[change.state]}>{tip}</rect>"]
    if change.state is State.BLOCKED:
        stripes = "".join(
            f"M{x + offset:.1f} {top + BAR:.1f}l6 -{BAR}" for offset in range(2, int(width) - 7, 7)
        )
        parts.append(f'<path d="{stripes}" stroke="{VIOLET}" stroke-width="0.9" opacity="0.7"/>')
    said = next(
        (one for one in (_label(change), str(change.state)) if _fits(one, width)),
        "",
    )
    if said:
        style = f'text-anchor="middle" font-size="10" pointer-events="none" {HALO}'
        parts.append(words_at(x + width / 2, y + 3.5, said, style))
    return parts


def _label(change: Change) -> str:
    if change.state is State.RUNNING and change.why:
        return plain(change.why)
    return plain(f"{change.state} {change.why}".strip())


def _fits(word: str, width: float) -> bool:
    return width_of(word) * SMALL + 6 <= width


def _beside(change: Change, x: float, y: float) -> list[str]:
    """Why it ended so, to the right of its mark; none where the picture ends."""
    if not change.why or x + MARK + width_of(change.why) * SMALL > WIDTH:
        return []
    return [words_at(x + MARK / 2 + 2, y + 3.5, change.why, f'font-size="10" {HALO}')]


def _tip(change: Change, end_s: float) -> str:
    why = f" ({cut(change.why, WHY)})" if change.why else ""
    times = (
        f"{change.at_s:.2f} s"
        if change.state not in LIVE
        else (f"{change.at_s:.2f} to {end_s:.2f} s")
    )
    return f"{change.state}{why}, {times}"


def _connections(placed: Placed, scale: float) -> list[str]:
    """From each that was collapsed a thin line to the one that took its place."""
    heights = {row.name: y for row, y in placed}
    parts = []
    for row, y in placed:
        to = heights.get(row.replaced_by or "")
        ends = [change.at_s for change in row.changes if change.state is State.COLLAPSED]
        if to is not None and ends:
            x = LEFT + ends[-1] * scale
            parts.append(rule(x, y, x, to, f'stroke="{GREY}" stroke-dasharray="3 2"'))
    return parts


def _happening(one: Happening, bottom: float, scale: float) -> list[str]:
    """A line from top to bottom, and what it stands for above it."""
    x = LEFT + one.at_s * scale
    anchor = "end" if x > WIDTH * 0.7 else "start"
    return [
        rule(x, TOP - 6, x, bottom, f'stroke="{ORANGE}" stroke-width="1.4" stroke-dasharray="5 3"'),
        words_at(x, TOP - 10, cut(one.words, 60), f'text-anchor="{anchor}" font-size="11" {HALO}'),
    ]


def _legend(rows: Sequence[BuildRow], y: float) -> tuple[list[str], float]:
    """What the looks and marks mean, only of those that occur, and the height of the last line."""
    seen = {change.state for row in rows for change in row.changes}
    parts, x = [], float(LEFT)
    for state in State:
        if state not in seen:
            continue
        width = 24 + len(MEANINGS[state]) * SMALL + 20
        if x + width > WIDTH:
            x, y = float(LEFT), y + 18
        if state in LIVE:
            box = f'x="{x:.1f}" y="{y - 10:.1f}" width="16" height="11" rx="2"'
            parts.append(f"<rect {box} {FILLS[state]}/>")
            if state is State.BLOCKED:
                stripes = "".join(f"M{x + offset:.1f} {y + 1:.1f}l4 -11" for offset in (2, 7, 12))
                parts.append(f'<path d="{stripes}" stroke="{VIOLET}" stroke-width="0.9"/>')
        else:
            parts.append(sign(SIGNS[state], x + 8, y - 4))
        parts.append(words_at(x + 22, y, MEANINGS[state], f'font-size="11" {INK}'))
        x += width
    return parts, y
