"""One message's work as a bar of the timeline: its shapes, its label, and how a crowd is folded.

The shape says how the work ended: full is done, a cross is lost, stripes are cut
off, dots are at work. A roof says redelivered, an underline acknowledged. Spans
come in, pieces of SVG come out; nothing here knows of lanes or axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape

from labs.pictures.spans import Outcome, Span, shortened

HEIGHT = 24
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
class Bar:
    """A span, or several folded together, in pixels from the picture's left edge."""

    x: float
    width: float
    span: Span
    count: int = 1

    @property
    def end(self) -> float:
        return self.x + self.width


def bars_of(spans: Iterable[Span], left: float, scale: float) -> list[Bar]:
    """Spans in pixels, `scale` of them a second, each at least one pixel wide."""
    return [
        Bar(left + span.start_s * scale, max((span.end_s - span.start_s) * scale, 1.0), span)
        for span in spans
    ]


def fold(bars: Sequence[Bar], gap: float = 1.0) -> list[Bar]:
    """Join narrow neighbours of the same kind less than `gap` pixels apart, so that a crowd
    stays readable."""
    folded: list[Bar] = []
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


def draw_bar(bar: Bar, y: float, height: float = HEIGHT, tip: str | None = None) -> list[str]:
    """One bar: its shape says how the work ended, its roof and underline the rest."""
    span, width = bar.span, max(bar.width - 1.0, 1.0)
    box = f'x="{bar.x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:g}" rx="2"'
    tip = f"<title>{escape(_told(bar))}</title>" if tip is None else tip
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
        parts.append(line(bar.x, y - 2, bar.x + width, y - 2, thick()))
    if span.acknowledged:
        parts.append(line(bar.x, y + height + 3.5, bar.x + width, y + height + 3.5, thick(2)))
    if span.outcome is not Outcome.LOST:
        parts += _label_inside(bar, y, width, height, text)
    return parts


def _label_inside(bar: Bar, y: float, width: float, height: float, text: str) -> list[str]:
    whole = f"{bar.count} messages" if bar.count > 1 else bar.span.body
    room = int((width - 4) / LETTER)
    if not whole or room < 1 or (len(whole) > room and room < 3):
        return []
    place = f'x="{bar.x + width / 2:.1f}" y="{y + height / 2 + 4:.1f}" text-anchor="middle"'
    label = escape(shortened(whole, room))
    return [f'<text {place} {text} pointer-events="none">{label}</text>']


def _told(bar: Bar) -> str:
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
    to_and_fro = f"l{across:g} {across:g}m0 -{across:g}l-{across:g} {across:g}"
    d = f"M{x - CROSS:.1f} {y - CROSS:.1f}{to_and_fro}"
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


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A straight line."""
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" fill="none" {style}/>'


def thick(width: float = 3) -> str:
    """The style of a line in the colour of the text."""
    return f'class="ql-line" stroke="#1f2328" stroke-width="{width:g}"'
