"""How long the queue was, over time, as lines to be drawn: samples in, plain values out.

There are as many points as a screen can show; of the samples that share one, the highest counts,
so that no peak is lost. `Past` keeps them from one look to the next, for a day has thousands. A
line is broken where nothing was sampled: the service was away. The same is told in words and in
a small table, for those who don't see it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from labs.queue_service.messages import Sample, State

WIDTH, HEIGHT = 1000, 300
"""Of the drawing; the page stretches it."""
POINTS = 250
ROWS = 12
TICKS = 5
GAPS = 30
"""A pause of this part of the whole is a gap,"""
SHORTEST_GAP = timedelta(minutes=1)
"""but no shorter one."""
LATE = timedelta(minutes=1)
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
STATES = (State.QUEUED, State.RUNNING, State.BLOCKED, State.FROZEN)

Counts = dict[State, int]


class Past:
    """The samples of the last `span`, as many as are drawn; more come in by and by."""

    def __init__(self, span: timedelta) -> None:
        self.span = span
        self._part = span / POINTS
        self._found: dict[int, Sample] = {}
        self._last = FIRST
        self._lock = threading.Lock()

    def since(self, now: datetime) -> datetime:
        """From when on samples are wanted; those of another instance may come late."""
        return max(now - self.span, self._last - LATE)

    def take(self, samples: Iterable[Sample], now: datetime) -> Sequence[Sample]:
        """Some more; twice the same makes no difference.

        Returns:
            All that are not too long ago, oldest first; the others are forgotten.
        """
        with self._lock:
            for sample in samples:
                n = (sample.at - FIRST) // self._part
                self._found[n] = _higher(sample, self._found.get(n, sample))
                self._last = max(self._last, sample.at)
            oldest = (now - self.span - FIRST) // self._part
            self._found = {n: self._found[n] for n in sorted(self._found) if n >= oldest}
            return list(self._found.values())


@dataclass(frozen=True, slots=True)
class Line:
    """One state's way over time."""

    state: State
    path: str
    """As the `d` of an SVG path."""
    low: int
    high: int
    last: int


@dataclass(frozen=True, slots=True)
class Curve:
    """All lines, and what stands around them."""

    lines: Sequence[Line]
    heights: Sequence[int]
    """What is written beside it, from the top down."""
    times: Sequence[datetime]
    """What is written below it, from left to right."""
    rows: Sequence[tuple[datetime, Counts]]
    """The table; newest first."""

    @property
    def words(self) -> str:
        """What the lines say."""
        said = (
            f"{line.state}: {line.last:,} now, between {line.low:,} and {line.high:,}"
            for line in self.lines
        )
        return "; ".join(said).capitalize() + "."


def curve(samples: Iterable[Sample], now: datetime, span: timedelta) -> Curve | None:
    """The lines of the last `span`; None if nothing was sampled in it."""
    begin = now - span
    within = [one for one in samples if begin <= one.at <= now]
    if not within:
        return None
    points = [
        ((one.at - begin) / span * WIDTH, {s: one.counts.get(s, 0) for s in STATES})
        for one in within
    ]
    top = _even_number_above(max(counts[state] for _, counts in points for state in STATES))
    gap = max(span / GAPS, SHORTEST_GAP) / span * WIDTH
    lines = [_line(state, points, top, gap) for state in STATES]
    times = [begin + span * n / (TICKS - 1) for n in range(TICKS)]
    return Curve(lines, (top, top // 2, 0), times, _rows(within, begin, span))


def _higher(one: Sample, other: Sample) -> Sample:
    """The higher counts of two."""
    if one is other:
        return one
    counts = {s: max(one.counts.get(s, 0), other.counts.get(s, 0)) for s in STATES}
    return Sample(at=max(one.at, other.at), counts=counts)


def _line(state: State, points: Sequence[tuple[float, Counts]], top: int, gap: float) -> Line:
    steps: list[str] = []
    before = -gap
    for x, counts in points:
        y = HEIGHT * (1 - counts[state] / top)
        begins = x - before > gap or not steps
        # A point by itself is a line of no length, which round ends make a dot.
        steps.append(f"M{x:.1f} {y:.1f}h0" if begins else f"L{x:.1f} {y:.1f}")
        before = x
    values = [counts[state] for _, counts in points]
    return Line(state, "".join(steps), min(values), max(values), values[-1])


def _rows(
    samples: Sequence[Sample], begin: datetime, span: timedelta
) -> list[tuple[datetime, Counts]]:
    """The last sample of each twelfth."""
    last = {int((one.at - begin) / span * ROWS): one for one in samples}
    rows = [(one.at, {s: one.counts.get(s, 0) for s in STATES}) for one in last.values()]
    return sorted(rows, key=lambda row: row[0], reverse=True)


def _even_number_above(value: int) -> int:
    """One that is easily read, so that half of it can be written beside, too."""
    power = 1
    while value > 16 * power:
        power *= 10
    return next(n * power for n in (2, 4, 6, 8, 10, 12, 16) if n * power >= value)
