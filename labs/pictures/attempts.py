"""Jobs and their attempts over time: one row a job, one bar an attempt, pauses between.

`JobRow`s go in, a `Picture` comes out; `flow.py` has the same rows under a plot. A bar
says how the attempt ended by a mark at its end (a tick, an arrow back, a cross, a broken
line) and by its fill, never by colour alone; the worker's name stands above it where there
is room. A thin line is a pause: one sees it grow. Attempts that overlap lie one under the
other: two workers had the job at once. Times are seconds from the start of the run. The
same values give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

from labs.pictures.letters import cut, plain, width_of
from labs.pictures.picture import Picture
from labs.pictures.sheet import (
    BLUE,
    GREY,
    HALO,
    INK,
    LETTER,
    ORANGE,
    RED,
    VIOLET,
    Sign,
    rule,
    sheet,
    sign,
    time_axis,
    words_at,
)

WIDTH, LEFT, RIGHT, TOP = 900, 150, 24, 12
LINE_HEIGHT, BAR, PAD = 40, 18, 8  # one line of a row, a bar in it, the space between two rows
MARK = 14.0  # a mark's width; a bar that is narrower is its mark alone
MOST_ROWS, MOST_TOLD = 24, 12


class Ending(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    NOT_YET = "not yet"
    FAILED = "failed"
    LOST = "lost"
    """The worker died in it, or lost its connection: nobody settled it."""
    AT_WORK = "at work"
    # A task's ways (`flow.py`), besides done and failed.
    RETRIED = "retried"
    EXPIRED = "lease ran out"
    RELEASED = "handed back"
    HELD = "held"
    """Claimed, and not settled when the picture was made: whether somebody works, who knows."""


MARKS = {
    Ending.DONE: Sign.TICK,
    Ending.NOT_YET: Sign.BACK,
    Ending.FAILED: Sign.CROSS,
    Ending.LOST: Sign.BROKEN,
    Ending.AT_WORK: Sign.DOTS,
    Ending.RETRIED: Sign.BACK,
    Ending.EXPIRED: Sign.BROKEN,
    Ending.RELEASED: Sign.BACK,
    Ending.HELD: Sign.DOTS,
}
MEANING = {
    Ending.DONE: "done",
    Ending.NOT_YET: "not yet: comes back after a pause",
    Ending.FAILED: "failed",
    Ending.LOST: "lost: nobody settled it",
    Ending.AT_WORK: "at work",
    Ending.RETRIED: "failed: waits again, after a pause",
    Ending.EXPIRED: "lease ran out: waits again",
    Ending.RELEASED: "handed back unworked",
    Ending.HELD: "held to the end of the picture",
}
FILLS = {
    Ending.DONE: f'fill="{BLUE}"',
    Ending.NOT_YET: f'fill="none" stroke="{VIOLET}" stroke-width="1.6"',
    Ending.FAILED: f'fill="{RED}" fill-opacity="0.35" stroke="{RED}" stroke-width="1.6"',
    Ending.LOST: f'fill="none" stroke="{ORANGE}" stroke-width="1.6" stroke-dasharray="4 2"',
    Ending.AT_WORK: f'fill="none" stroke="{GREY}" stroke-width="1.6" stroke-dasharray="1 2"',
}
FILLS |= {
    Ending.RETRIED: FILLS[Ending.NOT_YET],
    Ending.EXPIRED: FILLS[Ending.LOST],
    Ending.RELEASED: FILLS[Ending.NOT_YET],
    Ending.HELD: FILLS[Ending.AT_WORK],
}


@dataclass(frozen=True)
class Attempt:
    """One attempt of a job, from when to when (seconds), at whose hands, and how it ended."""

    start_s: float
    end_s: float
    ending: Ending
    worker: str = ""
    why: str = ""


@dataclass(frozen=True)
class JobRow:
    """A job (or all jobs of a type) with its attempts, in the order of their starts."""

    name: str
    attempts: tuple[Attempt, ...] = ()
    queued_s: float | None = None
    one_job: bool = True
    """Whether it is one job's: only then the time between two attempts is a pause."""


def draw_attempts(rows: Sequence[JobRow], *, length_s: float | None = None) -> Picture:
    """The jobs' attempts as an SVG of 900 pixels' width, with the same in words.

    `length_s`: how long the run was; default: until the last attempt ended.
    """
    ends = [attempt.end_s for row in rows for attempt in row.attempts]
    length_s = max(length_s or 0.0, *ends, 0.1) if ends else max(length_s or 0.0, 0.1)
    drawn, y = draw_rows(rows, TOP, length_s)
    axis = time_axis(length_s, LEFT, WIDTH - RIGHT, TOP, y)
    meanings, y = legend(rows, y + 42)
    parts = [*axis, *drawn, *meanings]
    return sheet("Attempts over time", in_words(rows, length_s), parts, WIDTH, y + 14)


def draw_rows(rows: Sequence[JobRow], top: float, length_s: float) -> tuple[list[str], float]:
    """The rows from `top` downwards, and where they end; of many the first ones."""
    shown, scale, y = rows[:MOST_ROWS], (WIDTH - LEFT - RIGHT) / length_s, top
    drawn: list[str] = []
    for row in shown:
        lines = _lines(row.attempts)
        drawn += _row(row, lines, y, scale)
        y += LINE_HEIGHT * max(len(lines), 1) + PAD
    if len(rows) > len(shown):
        drawn.append(words_at(10, y + 14, f"… and {len(rows) - len(shown)} more", INK))
        y += 24
    return drawn, y


def in_words(rows: Sequence[JobRow], length_s: float) -> str:
    """The attempts as text, one line each: the picture's alternative."""
    if not rows:
        return "Attempts over time: no job."
    many = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
    return "\n".join([f"Attempts over {length_s:.1f} seconds; {many}.", *rows_in_words(rows)])


def rows_in_words(rows: Sequence[JobRow]) -> list[str]:
    """What `draw_rows` draws."""
    lines = []
    for row in rows[:MOST_ROWS]:
        counts = Counter(attempt.ending for attempt in row.attempts)
        summed = ", ".join(f"{counts[way]} {way}" for way in Ending if counts[way])
        lines.append(f"{cut(plain(row.name), 40)}: {summed or 'no attempt'}.")
        lines += _told(row)
    if len(rows) > MOST_ROWS:
        lines.append(f"… and {len(rows) - MOST_ROWS} more rows.")
    return lines


def _told(row: JobRow) -> list[str]:
    """A row's attempts and the pauses between them; of many, the first ones and the last."""
    told, until = [], row.queued_s
    for number, attempt in enumerate(row.attempts, start=1):
        by = f" by {cut(plain(attempt.worker), 16)}" if attempt.worker else ""
        waited = attempt.start_s - until if until is not None and row.one_job else 0.0
        after = f", after {waited:.1f} s" if waited >= 0.05 else ""
        why = f" ({cut(plain(attempt.why), 30)})" if attempt.why else ""
        times = f"{attempt.start_s:.2f} to {attempt.end_s:.2f} s"
        told.append(f"  {number}{by}, {times}{after}: {attempt.ending}{why}.")
        until = attempt.end_s
    if len(told) > MOST_TOLD:
        told[MOST_TOLD - 2 : -1] = [f"  … {len(told) - MOST_TOLD + 1} more …"]
    return told


def _lines(attempts: Sequence[Attempt]) -> list[list[Attempt]]:
    """Attempts that overlap on lines of their own, as few as will do."""
    lines: list[list[Attempt]] = []
    for attempt in attempts:
        free = next((line for line in lines if line[-1].end_s <= attempt.start_s), None)
        if free is None:
            lines.append(free := [])
        free.append(attempt)
    return lines


def _row(row: JobRow, lines: Sequence[Sequence[Attempt]], top: float, scale: float) -> list[str]:
    counts = Counter(attempt.ending for attempt in row.attempts)
    summed = ", ".join(f"{counts[way]} {way}" for way in Ending if counts[way])
    middle = top + LINE_HEIGHT / 2 + 6
    parts = [
        words_at(10, middle - 2, cut(row.name, 17), f'font-weight="bold" {INK}'),
        words_at(10, middle + 12, cut(summed or "no attempt", 26), f'font-size="10" {INK}'),
    ]
    for index, line in enumerate(lines):
        if row.one_job:
            parts += _pauses(line, row.queued_s if index == 0 else None, middle, scale)
        parts += _line(line, middle + index * LINE_HEIGHT, scale)
    if row.queued_s is not None:
        x = LEFT + row.queued_s * scale
        parts.append(
            f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="3.5" {INK}><title>queued at '
            f"{row.queued_s:.2f} s</title></circle>"
        )
    return parts


def _line(attempts: Sequence[Attempt], middle: float, scale: float) -> list[str]:
    """Attempts one after the other; a name where it is a new one and has room."""
    bars, marks = [], []
    drawn: tuple[int, Ending] | None = None  # of a crowd, one bar a pixel is enough
    free, marked, named = 0.0, 0.0, ""  # up to where there are words and marks; the last name
    for attempt, following in zip(attempts, [*attempts[1:], None], strict=True):
        x, end = LEFT + attempt.start_s * scale, LEFT + attempt.end_s * scale
        width = max(end - x, 2.0)
        at = x + width / 2 if width < MARK else x + width
        in_a_crowd = (
            following is not None
            and following.ending is attempt.ending
            and (following.start_s - attempt.end_s) * scale < MARK / 2
            and width < MARK
        )
        has_mark = not in_a_crowd and at - marked >= MARK - 2
        if has_mark:
            marks.append(sign(MARKS[attempt.ending], at, middle, _tip(attempt)))
            marked = at
        pixel = (int(x), attempt.ending) if width < MARK else None
        if not (has_mark and pixel) and (pixel is None or pixel != drawn):
            bars.append(_bar(attempt, x, middle, width))
            drawn = pixel
        if attempt.worker != named and x > free:
            style = f'font-size="10" {HALO}'
            bars.append(words_at(x, middle - BAR / 2 - 4, attempt.worker, style))
            free, named = x + width_of(attempt.worker) * LETTER * 10 / 12 + 4, attempt.worker
    return [*bars, *marks]


def _bar(attempt: Attempt, x: float, middle: float, width: float) -> str:
    tip, width = escape(plain(_tip(attempt))), max(width - 1, 1)
    return (
        f'<rect x="{x:.1f}" y="{middle - BAR / 2:.1f}" width="{width:.1f}" height="{BAR}" '
        f'rx="2" {FILLS[attempt.ending]}><title>{tip}</title></rect>'
    )


def _pauses(
    attempts: Sequence[Attempt], until: float | None, middle: float, scale: float
) -> list[str]:
    """The thin lines between a job's attempts, and before its first."""
    parts = []
    for attempt in attempts:
        if until is not None and attempt.start_s > until:
            x, end = LEFT + until * scale, LEFT + attempt.start_s * scale
            parts += _pause(x, end, attempt.start_s - until, middle)
        until = attempt.end_s
    return parts


def _pause(x: float, end: float, length_s: float, middle: float) -> list[str]:
    parts = [rule(x, middle, end, middle, f'stroke="{GREY}" stroke-width="1.2"')]
    said = f"{length_s:.1f} s" if length_s >= 0.05 else ""
    if said and end - x > len(said) * 5 + 22:
        style = f'text-anchor="middle" font-size="10" {INK}'
        parts.append(words_at((x + end) / 2, middle + 13, said, style))
    return parts


def _tip(attempt: Attempt) -> str:
    by = f"{attempt.worker}: " if attempt.worker else ""
    why = f" ({cut(attempt.why, 80)})" if attempt.why else ""
    return f"{by}{attempt.ending}{why}, {attempt.start_s:.2f} to {attempt.end_s:.2f} s"


def legend(rows: Sequence[JobRow], y: float, *, queued: str = "queued") -> tuple[list[str], float]:
    """What the marks mean, only of those that occur, and the height of the last line.

    `queued`: what the dot at a row's beginning is called.
    """
    endings = {attempt.ending for row in rows for attempt in row.attempts}
    parts, x = [], float(LEFT)
    for ending in Ending:
        if ending not in endings:
            continue
        width = 12 + len(MEANING[ending]) * 5.6 + 24
        if x + width > WIDTH:
            x, y = float(LEFT), y + 18
        parts.append(sign(MARKS[ending], x, y - 4))
        parts.append(words_at(x + 12, y, MEANING[ending], f'font-size="11" {INK}'))
        x += width
    if any(row.queued_s is not None for row in rows):
        parts.append(f'<circle cx="{x:.1f}" cy="{y - 4:.1f}" r="3.5" {INK}/>')
        parts.append(words_at(x + 10, y, queued, f'font-size="11" {INK}'))
    return parts, y
