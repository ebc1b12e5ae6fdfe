"""Who worked on which message when: a timeline as SVG.

A `Timeline` goes in, a `Picture` comes out: one lane a worker, one bar a message,
labelled with its body where there is room. No meaning is in a colour alone: lost
is a cross, cut off is striped, redelivered has a thick roof, acknowledged is
underlined, and a legend names what occurs. Bars too narrow to tell apart are
drawn as one. The same values give the same bytes.

The style sheet takes the page's colours where there are such (JupyterLab's
variables); elsewhere the picture stands on a light panel of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from labs.pictures.bars import (
    CROSS,
    GREY,
    HALO_TEXT,
    HEIGHT,
    INK_TEXT,
    STYLE,
    Bar,
    bars_of,
    draw_bar,
    fold,
    line,
    thick,
)
from labs.pictures.picture import Picture
from labs.pictures.spans import Lane, Mark, Outcome, Span, Timeline, shortened

WIDTH, LEFT, RIGHT, TOP = 900, 128, 16, 12
LANE, BAR_TOP = 58, 20  # a lane's height, and where in it the bars begin
AXIS, LEGEND = 34, 26


def draw_timeline(timeline: Timeline) -> Picture:
    """The timeline as an SVG of 900 pixels' width, with its text alternative."""
    length_s = max(timeline.length_s, 0.1)
    scale = (WIDTH - LEFT - RIGHT) / length_s
    bottom = TOP + LANE * len(timeline.lanes)
    height = bottom + AXIS + LEGEND
    parts = [f'<rect class="ql-paper" fill="#ffffff" width="{WIDTH}" height="{height}" rx="6"/>']
    parts += _axis(length_s, scale, bottom)
    for index, lane in enumerate(timeline.lanes):
        parts += _lane(lane, TOP + LANE * index, scale, length_s)
    parts += _legend(timeline, bottom + AXIS + 12)
    text = timeline.in_words()
    alternative = escape(text.replace("\n", " "))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-label="{alternative}" '
        'style="max-width:100%;height:auto" font-family="system-ui,sans-serif" font-size="12">'
        f"<desc>{alternative}</desc>{STYLE}{''.join(parts)}</svg>"
    )
    return Picture(svg, text)


def _lane(lane: Lane, top: float, scale: float, length_s: float) -> list[str]:
    y = top + BAR_TOP
    middle = y + HEIGHT / 2
    counts = ", ".join(f"{lane.counts[way]} {way}" for way in Outcome if lane.counts[way])
    parts = [
        f'<text x="10" y="{middle - 2:.1f}" font-weight="bold" {INK_TEXT}>'
        f"{escape(shortened(lane.worker, 16))}</text>",
        f'<text x="10" y="{middle + 12:.1f}" font-size="10" {INK_TEXT}>'
        f"{escape(shortened(counts or 'no message', 22))}</text>",
    ]
    alive_until = LEFT + scale * _end_of(lane, length_s)
    parts.append(line(LEFT, middle, alive_until, middle, 'stroke="#7a7f87" stroke-width="1"'))
    parts += _frost(lane, y, scale, length_s)
    bars = [bar for bar in bars_of(lane.spans, LEFT, scale) if bar.span.outcome is not Outcome.LOST]
    lost = [bar for bar in bars_of(lane.spans, LEFT, scale) if bar.span.outcome is Outcome.LOST]
    bars = [*fold(bars), *fold(lost, gap=CROSS)]  # crosses come last: they lie on top
    for bar in bars:
        parts += draw_bar(bar, y)
    parts += _labels_above(lane, bars, top, scale)
    return parts


def _labels_above(lane: Lane, bars: Sequence[Bar], top: float, scale: float) -> list[str]:
    """Words above the bars, the weightier ones first, each only where there is room left."""
    words: list[tuple[int, float, str]] = []  # weight (0 is said first), x, text
    parts = []
    for moment in lane.moments:
        if moment.mark is not Mark.STARTED or moment.at_s > 0:
            x = LEFT + moment.at_s * scale
            parts.append(line(x, top + 14, x, top + BAR_TOP + HEIGHT + 6, thick(1.6)))
            words.append((2 if moment.mark is Mark.STOPPED else 0, x, moment.mark.value))
    for bar in bars:
        which = str(bar.count) if bar.count > 1 else bar.span.body
        lost = f"lost {which}" if len(which) <= 12 else "lost"
        what = [lost] if bar.span.outcome is Outcome.LOST else []
        what += ["again"] if bar.span.redelivered else []
        if what:
            words.append((1, bar.x, ", ".join(what)))
    placed: list[tuple[float, float]] = []
    for _, x, text in sorted(words):
        width = len(text) * 5.4 + 5
        for start in (x - 1, x - width + 4, x - width - 2):
            inside = start >= LEFT - 20 and start + width <= WIDTH
            if inside and all(start >= right or start + width <= left for left, right in placed):
                placed.append((start, start + width))
                parts.append(
                    f'<text x="{start:.1f}" y="{top + 12:.1f}" font-size="10" {HALO_TEXT}>'
                    f"{escape(text)}</text>"
                )
                break
    return parts


def _frost(lane: Lane, y: float, scale: float, length_s: float) -> list[str]:
    """A dotted band from each frozen to its thawed (or to the lane's end)."""
    parts, since = [], None
    moments = [*((m.mark, m.at_s) for m in lane.moments), (Mark.THAWED, _end_of(lane, length_s))]
    for mark, at_s in moments:
        if mark is Mark.FROZEN:
            since = at_s
        elif since is not None and mark in (Mark.THAWED, Mark.KILLED, Mark.STOPPED):
            x, end = LEFT + since * scale, LEFT + at_s * scale
            parts.append(
                line(
                    x,
                    y + HEIGHT + 9,
                    end,
                    y + HEIGHT + 9,
                    f'stroke="{GREY}" stroke-width="4" stroke-dasharray="1 3"',
                )
            )
            since = None
    return parts


def _end_of(lane: Lane, length_s: float) -> float:
    """Until when the worker lived."""
    ended = [m.at_s for m in lane.moments if m.mark in (Mark.STOPPED, Mark.KILLED, Mark.CRASHED)]
    return ended[-1] if ended else length_s


def _axis(length_s: float, scale: float, y: float) -> list[str]:
    parts = [line(LEFT, y, WIDTH - RIGHT, y, 'class="ql-line" stroke="#1f2328"')]
    step = _step(length_s)
    decimals = 0 if step >= 1 else 2 if step < 0.1 else 1
    for index in range(int(length_s / step + 1e-9) + 1):
        at_s = index * step
        x = LEFT + at_s * scale
        parts.append(line(x, TOP, x, y + 4, 'stroke="#80808055"'))
        parts.append(
            f'<text x="{x:.1f}" y="{y + 17:.1f}" text-anchor="middle" {INK_TEXT}>'
            f"{at_s:.{decimals}f}{' s' if index == 0 else ''}</text>"
        )
    return parts


def _step(length_s: float) -> float:
    """The distance of two ticks: 1, 2 or 5 times a power of ten, at most ten ticks."""
    step = 0.01
    while True:
        for factor in (1, 2, 5):
            if length_s / (step * factor) <= 10:
                return step * factor
        step *= 10


def _legend(timeline: Timeline, y: float) -> list[str]:
    """What the shapes mean, only of those that occur."""
    spans = [span for lane in timeline.lanes for span in lane.spans]
    outcomes = {span.outcome for span in spans}
    shown = [(Span("", 0, 0, outcome), outcome.value) for outcome in Outcome if outcome in outcomes]
    sample = Span("", 0, 0, Outcome.AT_WORK)
    if any(span.redelivered for span in spans):
        shown.append((replace(sample, redelivered=True), "redelivered (roof, “again”)"))
    if any(span.acknowledged for span in spans):
        shown.append((replace(sample, acknowledged=True), "acknowledged (underlined)"))
    parts, x = [], float(LEFT)
    for span, words in shown:
        parts += draw_bar(Bar(x, 17, span), y - 9, height=12, tip="")
        parts.append(
            f'<text x="{x + 23:.1f}" y="{y + 1:.1f}" font-size="11" {INK_TEXT}>{words}</text>'
        )
        x += 23 + len(words) * 6 + 20
    return parts
