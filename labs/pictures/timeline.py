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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape

from labs.pictures.picture import Picture
from labs.pictures.spans import Lane, Mark, Outcome, Span, Timeline, shortened

WIDTH, LEFT, RIGHT, TOP = 900, 128, 16, 12
LANE, BAR, BAR_TOP = 58, 24, 20  # a lane's height, its bars', and where in the lane they begin
AXIS, LEGEND = 34, 26
CROSS = 5.0  # half a cross, in pixels
NARROW = 3.0  # pixels: bars below this are folded together with their like
LETTER = 6.7  # pixels that a letter takes, about

# Mid-tones that stand out on white and on black; white letters are readable on the first.
DONE, LOST, CUT_OFF, GREY = "#2b76b5", "#cc4f45", "#b26a1f", "#7a7f87"
STYLE = (
    "<style>"
    ".ql-paper{fill:var(--jp-layout-color0,#ffffff)}"
    ".ql-ink{fill:var(--jp-ui-font-color1,#1f2328)}"
    ".ql-line{stroke:var(--jp-ui-font-color1,#1f2328)}"
    ".ql-edge{stroke:var(--jp-layout-color0,#ffffff)}"
    ".ql-halo{stroke:var(--jp-layout-color0,#ffffff);stroke-width:3;paint-order:stroke}"
    "</style>"
)
INK_TEXT = 'class="ql-ink" fill="#1f2328"'
HALO_TEXT = 'class="ql-ink ql-halo" fill="#1f2328"'
WHITE_TEXT = 'fill="#ffffff"'


@dataclass(frozen=True)
class _Bar:
    """A span, or several folded together, in pixels."""

    x: float
    width: float
    span: Span
    count: int = 1

    @property
    def end(self) -> float:
        return self.x + self.width


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
    alternative = escape(text)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-label="{alternative}" '
        'style="max-width:100%;height:auto" font-family="system-ui,sans-serif" font-size="12">'
        f"<desc>{alternative}</desc>{STYLE}{''.join(parts)}</svg>"
    )
    return Picture(svg, text)


def _lane(lane: Lane, top: float, scale: float, length_s: float) -> list[str]:
    y = top + BAR_TOP
    middle = y + BAR / 2
    counts = ", ".join(f"{lane.counts[way]} {way}" for way in Outcome if lane.counts[way])
    parts = [
        f'<text x="10" y="{middle - 2:.1f}" font-weight="bold" {INK_TEXT}>'
        f"{escape(shortened(lane.worker, 16))}</text>",
        f'<text x="10" y="{middle + 12:.1f}" font-size="10" {INK_TEXT}>'
        f"{escape(shortened(counts or 'no message', 22))}</text>",
    ]
    alive_until = LEFT + scale * _end_of(lane, length_s)
    parts.append(_line(LEFT, middle, alive_until, middle, 'stroke="#7a7f87" stroke-width="1"'))
    parts += _frost(lane, y, scale, length_s)
    bars = [bar for bar in _bars(lane.spans, scale) if bar.span.outcome is not Outcome.LOST]
    lost = [bar for bar in _bars(lane.spans, scale) if bar.span.outcome is Outcome.LOST]
    bars = [*fold(bars), *fold(lost, gap=CROSS)]  # crosses come last: they lie on top
    for bar in bars:
        parts += _drawn(bar, y)
    parts += _labels_above(lane, bars, top, scale)
    return parts


def _bars(spans: Iterable[Span], scale: float) -> list[_Bar]:
    return [
        _Bar(LEFT + span.start_s * scale, max((span.end_s - span.start_s) * scale, 1.0), span)
        for span in spans
    ]


def fold(bars: Sequence[_Bar], gap: float = 1.0) -> list[_Bar]:
    """Join narrow neighbours of the same kind less than `gap` pixels apart, so that a crowd
    stays readable."""
    folded: list[_Bar] = []
    for bar in bars:
        last = folded[-1] if folded else None
        if (
            last is not None
            and bar.width < NARROW
            and (last.count > 1 or last.width < NARROW)
            and bar.x - last.end < gap
            and _kind(bar.span) == _kind(last.span)
        ):
            end = max(last.end, bar.end)
            folded[-1] = replace(last, width=end - last.x, count=last.count + bar.count)
        else:
            folded.append(bar)
    return folded


def _kind(span: Span) -> tuple[Outcome, bool, bool]:
    return span.outcome, span.redelivered, span.acknowledged


def _drawn(bar: _Bar, y: float, height: float = BAR) -> list[str]:
    """One bar: its shape says how the work ended, its roof and underline the rest."""
    span, width = bar.span, max(bar.width - 1.0, 1.0)
    box = f'x="{bar.x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:g}" rx="2"'
    tip = f"<title>{escape(_told(bar))}</title>"
    text = HALO_TEXT
    if span.outcome is Outcome.DONE:
        parts = [f'<rect {box} fill="{DONE}">{tip}</rect>']
        text = WHITE_TEXT
    elif span.outcome is Outcome.LOST:
        parts = [_cross(bar.x + width / 2, y + height / 2, tip)]
        if width > 4 * height:
            parts.insert(0, f'<rect {box} fill="none" stroke="{LOST}"/>')
    elif span.outcome is Outcome.CUT_OFF:
        parts = [_striped(bar.x, y, width, height, box, tip)]
    else:
        parts = [
            f'<rect {box} fill="none" stroke="{GREY}" stroke-width="1.5" stroke-dasharray="3 2">'
            f"{tip}</rect>"
        ]
    if span.redelivered:
        parts.append(_line(bar.x, y - 2, bar.x + width, y - 2, _thick()))
    if span.acknowledged:
        parts.append(_line(bar.x, y + height + 3.5, bar.x + width, y + height + 3.5, _thick(2)))
    if span.outcome is not Outcome.LOST:
        parts += _label_inside(bar, y, width, text)
    return parts


def _label_inside(bar: _Bar, y: float, width: float, text: str) -> list[str]:
    whole = f"{bar.count} messages" if bar.count > 1 else bar.span.body
    room = int((width - 4) / LETTER)
    if room < 1 or (len(whole) > room and room < 3):
        return []
    return [
        f'<text x="{bar.x + width / 2:.1f}" y="{y + BAR / 2 + 4:.1f}" text-anchor="middle" {text} '
        f'pointer-events="none">{escape(shortened(whole, room))}</text>'
    ]


def _labels_above(lane: Lane, bars: Sequence[_Bar], top: float, scale: float) -> list[str]:
    """Words above the bars, the weightier ones first, each only where there is room left."""
    words: list[tuple[int, float, str]] = []  # weight (0 is said first), x, text
    parts = []
    for moment in lane.moments:
        if moment.mark is not Mark.STARTED or moment.at_s > 0:
            x = LEFT + moment.at_s * scale
            parts.append(_line(x, top + 14, x, top + BAR_TOP + BAR + 6, _thick(1.6)))
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
                _line(
                    x,
                    y + BAR + 9,
                    end,
                    y + BAR + 9,
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
    parts = [_line(LEFT, y, WIDTH - RIGHT, y, 'class="ql-line" stroke="#1f2328"')]
    step = _step(length_s)
    decimals = 0 if step >= 1 else 2 if step < 0.1 else 1
    for index in range(int(length_s / step + 1e-9) + 1):
        at_s = index * step
        x = LEFT + at_s * scale
        parts.append(_line(x, TOP, x, y + 4, 'stroke="#80808055"'))
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
        parts += _drawn(_Bar(x, 17, span), y - 9, height=12)
        parts.append(
            f'<text x="{x + 23:.1f}" y="{y + 1:.1f}" font-size="11" {INK_TEXT}>{words}</text>'
        )
        x += 23 + len(words) * 6 + 20
    return parts


def _told(bar: _Bar) -> str:
    """A bar in words, shown while the mouse rests on it."""
    span = bar.span
    body = f"{bar.count} messages" if bar.count > 1 else shortened(span.body, 60)
    extra = [
        *(["redelivered"] if span.redelivered else []),
        *(["acknowledged"] if span.acknowledged else []),
    ]
    times = f"{span.start_s:.2f} to {span.end_s:.2f} s"
    return "; ".join([f"{body}: {span.outcome}", times, *extra])


def _cross(x: float, y: float, tip: str) -> str:
    across = 2 * CROSS
    d = f"M{x - CROSS:.1f} {y - CROSS:.1f}l{across:g} {across:g}m0 -{across:g}l-{across:g} {across:g}"
    return (
        f'<path class="ql-edge" d="{d}" stroke="#ffffff" stroke-width="5.5" fill="none"/>'
        f'<path d="{d}" stroke="{LOST}" stroke-width="3" fill="none">{tip}</path>'
    )


def _striped(x: float, y: float, width: float, height: float, box: str, tip: str) -> str:
    stripes = "".join(
        f"M{x + offset:.1f} {y:.1f}v{height:g}" for offset in range(3, max(int(width) - 1, 1), 4)
    )
    return (
        f'<rect {box} fill="{CUT_OFF}" fill-opacity="0.25" stroke="{CUT_OFF}">{tip}</rect>'
        f'<path d="{stripes}" stroke="{CUT_OFF}" stroke-width="1.2"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" fill="none" {style}/>'


def _thick(width: float = 3) -> str:
    return f'class="ql-line" stroke="#1f2328" stroke-width="{width:g}"'
