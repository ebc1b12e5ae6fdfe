"""The life of one task in a table: who had it when, until when it was leased, what its row said.

A `Life` goes in (`labs.pictures.run` makes it from a journal), a `Picture` comes out: one lane
a copy, with a bar from each claim to the end of its work, the lease as a thin line below
it, and what was done to the copy; at the foot the row itself. Two bars above each
other are the fault to be seen: two at work on one task. No meaning is in a colour alone.
The same values give the same bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from labs.pictures.letters import cut, plain
from labs.pictures.picture import Picture
from labs.pictures.sheet import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    VIOLET,
    Sign,
    rule,
    sheet,
    sign,
    step_of,
    words_at,
)

WIDTH, LEFT, RIGHT, TOP = 900, 80, 24, 40
LANE, BAR, ROW = 58, 18, 22  # the height of a lane, of a bar in it, and of the row at the foot
FOOT = 34


@dataclass(frozen=True)
class Claim:
    """What one copy did with its claim; times in seconds of the run."""

    from_s: float
    to_s: float
    """When its work ended, or it died, or the picture ends."""
    done_s: float | None = None
    leases: tuple[tuple[float, float], ...] = ()
    """When the lease was taken and extended, and until when."""


@dataclass(frozen=True)
class Lane:
    """One copy: its claims of this task, and what was done to it."""

    copy: str
    claims: tuple[Claim, ...] = ()
    killed_s: float | None = None
    frozen: tuple[tuple[float, float], ...] = ()
    """From when to when it stood still."""


@dataclass(frozen=True)
class Said:
    """What the row said from this time on: `waiting`, `A's`, `success`."""

    at_s: float
    words: str


@dataclass(frozen=True)
class Life:
    """All of it."""

    body: str
    from_s: float
    to_s: float
    lanes: tuple[Lane, ...]
    row: tuple[Said, ...]
    held: tuple[tuple[float, float], ...] = ()
    """From when to when somebody else held the database's write lock."""


def draw_life(life: Life) -> Picture:
    """The life as an SVG 900 pixels wide, and in words."""
    scale = (WIDTH - LEFT - RIGHT) / max(life.to_s - life.from_s, 0.1)
    bottom = TOP + LANE * len(life.lanes)

    def x(at_s: float) -> float:
        return LEFT + (min(max(at_s, life.from_s), life.to_s) - life.from_s) * scale

    parts = [words_at(10, 20, f"The task {cut(life.body, 90)}", f'font-weight="bold" {INK}')]
    for begin, end in life.held:
        parts.append(_box(x(begin), TOP, x(end), bottom + ROW, f'fill="{GREY}" opacity="0.18"'))
        parts.append(words_at(x(begin) + 3, TOP - 3, "write lock held", f'font-size="10" {INK}'))
    parts += _axis(life, bottom + ROW)
    for number, lane in enumerate(life.lanes):
        parts += _lane(lane, TOP + LANE * number, x)
    parts += _row(life, bottom, x)
    return sheet("The life of a task", in_words(life), parts, WIDTH, bottom + ROW + FOOT)


def in_words(life: Life, width: int = 96) -> str:
    """Each lane, and the row, in a sentence: the picture's alternative."""
    lines = [f"The task {plain(life.body)}"]
    for lane in life.lanes:
        told = [_claim_in_words(claim) for claim in lane.claims]
        told += [f"frozen from {begin:.3f} s to {end:.3f} s" for begin, end in lane.frozen]
        told += [f"killed at {lane.killed_s:.3f} s"] if lane.killed_s is not None else []
        lines.append(f"{lane.copy}: {'; '.join(told)}")
    lines.append(
        "its row: " + ", ".join(f"{said.words} from {said.at_s:.3f} s" for said in life.row)
    )
    for begin, end in life.held:
        lines.append(f"somebody else held the write lock from {begin:.3f} s to {end:.3f} s")
    first, *others = lines
    wrapped = [f"{first}:"]
    for line in others:
        wrapped += textwrap.wrap(f"{line}.", width, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(wrapped)


def _claim_in_words(claim: Claim) -> str:
    words = f"claimed it at {claim.from_s:.3f} s"
    if claim.leases:
        words += f" until {claim.leases[0][1]:.3f} s"
    if later := claim.leases[1:]:
        often = "once" if len(later) == 1 else f"{len(later)} times"
        words += f", extended it {often}, until {later[-1][1]:.3f} s"
    return f"{words}, did it by {claim.done_s:.3f} s" if claim.done_s is not None else words


def _lane(lane: Lane, top: float, x: Callable[[float], float]) -> list[str]:
    y = top + 8
    parts = [words_at(10, y + 14, lane.copy, f'font-weight="bold" {INK}')]
    for claim in lane.claims:
        colour = BLUE if claim.done_s is not None else ORANGE
        style = f'fill="{colour}" fill-opacity="0.85" rx="3"'
        tip = _claim_in_words(claim)
        parts.append(_box(x(claim.from_s), y, x(claim.to_s), y + BAR, style, tip))
        for number, (at_s, until_s) in enumerate(claim.leases):
            level = y + BAR + 8
            thick = f'stroke="{GREEN}" stroke-width="3"'
            parts.append(rule(x(at_s), level, x(until_s), level, thick))
            if number:
                parts.append(rule(x(at_s), level - 4, x(at_s), level + 4, f'stroke="{GREEN}"'))
        if claim.leases:
            end = x(claim.leases[-1][1])
            parts.append(rule(end, y + BAR + 3, end, y + BAR + 13, f'stroke="{GREEN}"'))
            style = f'text-anchor="end" font-size="10" {INK}'
            parts.append(words_at(end - 3, y + BAR + 20, "lease", style))
        if claim.done_s is not None:
            parts.append(sign(Sign.TICK, x(claim.done_s), y + BAR / 2, "it said `done`"))
    for begin, end in lane.frozen:
        style = f'fill="none" stroke="{VIOLET}" stroke-width="2" stroke-dasharray="4 3"'
        parts.append(_box(x(begin), y - 4, x(end), y + BAR + 4, style, "frozen"))
        parts.append(words_at(x(begin) + 3, y - 6, "frozen", f'font-size="10" {INK}'))
    if lane.killed_s is not None:
        parts.append(sign(Sign.BROKEN, x(lane.killed_s), y + BAR / 2, "killed"))
        parts.append(words_at(x(lane.killed_s) + 10, y + 13, "killed", f'font-size="10" {INK}'))
    return parts


def _row(life: Life, top: float, x: Callable[[float], float]) -> list[str]:
    parts = [words_at(10, top + 15, "the row", f'font-weight="bold" {INK}')]
    ends = [said.at_s for said in life.row[1:]] + [life.to_s]
    for said, end_s in zip(life.row, ends, strict=True):
        begin, end = x(said.at_s), x(end_s)
        parts.append(
            _box(begin, top, end, top + ROW - 2, f'fill="none" stroke="{GREY}"', said.words)
        )
        if room := int((end - begin - 4) / 6):
            parts.append(
                words_at(begin + 3, top + 14, cut(said.words, room), f'font-size="11" {INK}')
            )
        parts.append(rule(begin, TOP, begin, top, f'stroke="{RED}" stroke-dasharray="1 4"'))
    return parts


def _axis(life: Life, y: float) -> list[str]:
    """The run's seconds, so that they are those of the evidence."""
    length_s = max(life.to_s - life.from_s, 0.1)
    step, scale = step_of(length_s), (WIDTH - LEFT - RIGHT) / length_s
    first = int(life.from_s / step) + 1
    parts = [rule(LEFT, y, WIDTH - RIGHT, y)]
    for index in range(first, int(life.to_s / step + 1e-9) + 1):
        at = LEFT + (index * step - life.from_s) * scale
        parts.append(rule(at, TOP, at, y + 4, 'stroke="#80808044"'))
        parts.append(words_at(at, y + 17, f"{index * step:.2g} s", f'text-anchor="middle" {INK}'))
    return parts


def _box(x1: float, y1: float, x2: float, y2: float, style: str, tip: str = "") -> str:
    title = f"<title>{escape(plain(tip))}</title>" if tip else ""
    size = f'width="{max(x2 - x1, 2):.1f}" height="{y2 - y1:.1f}"'
    return f'<rect x="{x1:.1f}" y="{y1:.1f}" {size} {style}>{title}</rect>'
