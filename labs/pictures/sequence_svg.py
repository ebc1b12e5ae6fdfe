"""A story drawn as SVG: lifelines from top to bottom, one row a step, times at the side.

A `Story` goes in, one `<svg>` element comes out. No meaning is in a colour alone: each
arrow says what it is, what got lost ends in a cross, what a fault forged begins with
one, a frozen process's line is dotted, a dead one has none. Colours are mid-tones that
stand out on white and on black; paper and ink are the page's where it has such
(JupyterLab's variables), else light or dark as the reader's system prefers.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from labs.pictures.letters import fit, plain, width_of
from labs.pictures.sequence_layout import BAR, BOLD, HEAD, LETTER, TIMES, TOP, Layout
from labs.pictures.sequence_steps import (
    EDGE,
    OUTSIDE,
    Fate,
    Kind,
    Lifeline,
    Place,
    Step,
    Story,
)

BLUE, VIOLET, GREEN, ORANGE, RED, GREY = (
    "#2f7fc1",
    "#8f62c9",
    "#3f8f4f",
    "#b9651b",
    "#cc4f45",
    "#7a7f87",
)
COLOURS = {
    Kind.PUBLISH: BLUE,
    Kind.DELIVER: VIOLET,
    Kind.SETTLE: GREEN,
    Kind.CONFIRM: GREEN,
    Kind.REFUSE: ORANGE,
    Kind.SAY: BLUE,
    Kind.BLOW: RED,
    Kind.NOTE: RED,
}
DASHED = {Kind.SETTLE, Kind.CONFIRM, Kind.REFUSE}
STYLE = (
    "<style>"
    ".qs{--qs-paper:var(--jp-layout-color0,#ffffff);--qs-ink:var(--jp-ui-font-color1,#1f2328)}"
    "@media(prefers-color-scheme:dark){"
    ".qs{--qs-paper:var(--jp-layout-color0,#15191e);--qs-ink:var(--jp-ui-font-color1,#e6e9ed)}}"
    ".qs-paper{fill:var(--qs-paper)}"
    ".qs-ink{fill:var(--qs-ink)}"
    ".qs-line{stroke:var(--qs-ink)}"
    ".qs-halo{stroke:var(--qs-paper);stroke-width:4;paint-order:stroke;stroke-linejoin:round}"
    "</style>"
)
INK = 'class="qs-ink" fill="#1f2328"'
HALO = 'class="qs-ink qs-halo" fill="#1f2328"'
LINE = 'class="qs-line" stroke="#1f2328"'


def draw_svg(story: Story, highlight: str | None = None) -> str:
    """The story as an SVG, with its text alternative."""
    return _Drawing(story, highlight).draw()


class _Drawing:
    def __init__(self, story: Story, highlight: str | None) -> None:
        self.story, self.highlight, self.at = story, highlight, Layout(story)

    def draw(self) -> str:
        """The whole element."""
        width, height = self.at.width, self.at.height
        parts = [
            f'<rect class="qs-paper" fill="#ffffff" width="{width}" height="{height}"/>',
            f'<text x="12" y="22" font-size="13" font-weight="bold" {INK}>'
            f"{escape(fit(self.story.title, '', '', int(width / 7)))}</text>",
            self._panel(),
            *(part for line in self.story.lifelines for part in self._lifeline(line)),
        ]
        for top in (TOP, *([self.at.end + 2] if self.at.heads_again else [])):
            parts += [part for line in self.story.lifelines for part in self._head(line, top)]
        for index, step in enumerate(self.story.steps):
            parts.append(self._row(index, step))
        words = escape(plain(self.story.in_words().replace("\n", " ")))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="qs" viewBox="0 0 {width} '
            f'{height}" width="{width}" height="{height}" role="img" aria-label="{words}" '
            'style="max-width:100%;height:auto" font-family="system-ui,sans-serif" font-size="12">'
            f"<title>{escape(plain(self.story.title))}</title><desc>{words}</desc>"
            f"{STYLE}{''.join(parts)}</svg>"
        )

    # What stands still

    def _panel(self) -> str:
        left, right = self.at.panel
        return (
            f'<rect {INK} fill-opacity="0.055" x="{left:.1f}" y="{TOP - 6}" '
            f'width="{right - left:.1f}" height="{self.at.end - TOP + 6:.1f}" rx="8"/>'
        )

    def _head(self, line: Lifeline, top: float) -> list[str]:
        name, half = self.at.name(line), self.at.half_head(line)
        x = self.at.x[line.key]
        round_ = 4 if line.place is Place.CLIENT else 11
        tip = escape(plain(f"{line.place}: {line.name}"))
        return [
            f'<rect class="qs-paper qs-line" fill="#ffffff" stroke="#1f2328" x="{x - half:.1f}" '
            f'y="{top:.1f}" width="{2 * half:.1f}" height="{HEAD - 6}" rx="{round_}">'
            f"<title>{tip}</title></rect>",
            f'<text x="{x:.1f}" y="{top + 16:.1f}" text-anchor="middle" font-weight="bold" '
            f'pointer-events="none" {INK}>{escape(name)}</text>',
        ]

    def _lifeline(self, line: Lifeline) -> list[str]:
        x, top = self.at.x[line.key], TOP + HEAD - 6
        lives = [span for span in self.story.lives if span.lifeline == line.key]
        stretches = [self.at.stretch(span) for span in lives] or [(top, self.at.end)]
        if lives and lives[0].first <= min((s.events[0] for s in self.story.steps), default=0):
            stretches[0] = (top, stretches[0][1])
        parts = [_path(x, y1, x, y2, f'{LINE} stroke-opacity="0.55"') for y1, y2 in stretches]
        for span, at in self.at.bars.values():
            if span.lifeline == line.key:
                y1, y2 = self.at.stretch(span)
                parts.append(
                    f'<rect class="qs-paper qs-line" fill="#ffffff" stroke="#1f2328" '
                    f'stroke-opacity="0.7" x="{at - BAR / 2:.1f}" y="{y1:.1f}" width="{BAR:g}" '
                    f'height="{max(y2 - y1, 4):.1f}" rx="2">'
                    f"<title>connection {span.connection}</title></rect>"
                )
        for span in self.story.frozen:
            if span.lifeline == line.key:
                y1, y2 = self.at.stretch(span)
                style = f'stroke="{RED}" stroke-width="5" stroke-dasharray="2 4"'
                parts.append(_path(x, y1, x, y2, style))
        return parts

    # Rows

    def _row(self, index: int, step: Step) -> str:
        y = self.at.y[index]
        parts = [f"<title>{escape(plain(f'{step.at_s:.3f} s: {step.label}'))}</title>"]
        if marked := self.highlight is not None and self.highlight in step.bodies:
            marked = step.kind is not Kind.FOLD
        if marked:
            parts.append(
                f'<rect x="{TIMES - 66}" y="{y - 16:.1f}" width="{self.at.width - 16}" height="22" '
                'rx="4" fill="#e3b341" fill-opacity="0.28"/>'
            )
        if pause := self.at.pause_before(index):
            parts.append(_text(TIMES - 10, y - 21, f"+{pause:.1f} s", "end", 9.5, muted=True))
        if step.kind is Kind.FOLD:
            parts += self._fold(step, y)
        else:
            parts.append(_text(TIMES - 10, y + 1, f"{step.at_s:.3f} s", "end", 11, muted=True))
            letter = BOLD if marked else LETTER
            parts += self._arrow(step, y, letter) if step.target else self._mark(step, y)
        faint = self.highlight is not None and not marked and bool(step.bodies)
        style = ' opacity="0.5"' if faint else ' font-weight="600"' if marked else ""
        return f"<g{style}>{''.join(parts)}</g>"

    def _fold(self, step: Step, y: float) -> list[str]:
        left, right = TIMES + 4, self.at.width - 16
        middle = (left + right) / 2
        label = step.words(int((right - left) / LETTER))
        half = width_of(label) * LETTER / 2 + 6
        dots = f'{LINE} stroke-opacity="0.5" stroke-dasharray="1 4"'
        return [
            _path(left, y, max(middle - half, left), y, dots),
            _path(min(middle + half, right), y, right, y, dots),
            _text(middle, y + 4, label, "middle", 11.5, italic=True),
        ]

    def _arrow(self, step: Step, y: float, letter: float) -> list[str]:
        start = self.at.end_of(step.source, step, step.target)
        end = self.at.end_of(step.target, step, step.source)
        colour = COLOURS.get(step.kind, GREY)
        way = 1 if end > start else -1
        room = int(abs(end - start) / letter) - 1
        label = step.words(max(room, 4))
        parts = []
        if step.fate is Fate.SWALLOWED:
            end = start + (end - start) * 0.7
            parts.append(_cross(end, y, RED))
        elif step.fate is Fate.FORGED:
            start = start + (end - start) * 0.3
            parts.append(_cross(start, y, RED))
        if step.fate is not Fate.SWALLOWED:
            parts.append(_head_of_arrow(end, y, way, colour))
        if step.source == OUTSIDE:
            parts.append(f'<circle cx="{start:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
        middle = (start + end) / 2
        dash = ' stroke-dasharray="5 3"' if step.kind in DASHED else ""
        thick = 1.2 if step.kind in (Kind.SETUP, Kind.CLOSE, Kind.HEARTBEAT) else 1.8
        shaft = end - way * 7 if step.fate is not Fate.SWALLOWED else end
        style = f'stroke="{colour}" stroke-width="{thick:g}"{dash}'
        parts.insert(0, _path(start, y, shaft, y, style))
        parts.append(_text(middle, y - 5, label, "middle", 12))
        return parts

    def _mark(self, step: Step, y: float) -> list[str]:
        colour = COLOURS.get(step.kind, GREY)
        if step.source not in self.at.x:
            return self._band(step, y, colour)
        x = self.at.x[step.source]
        client = step.source.startswith("client")
        if client and step.connection in self.at.bars and step.kind is Kind.BLOW:
            return self._torn(step, y)
        way = -1 if client and x > self.at.middle else 1
        room = int((self.at.gap - 24) / LETTER)
        label = step.words(room)
        symbol = _cross(x, y, colour) if step.kind is Kind.BLOW else _dot(x, y, colour)
        anchor = "start" if way > 0 else "end"
        return [symbol, _text(x + way * 13, y + 4, label, anchor, 12)]

    def _torn(self, step: Step, y: float) -> list[str]:
        """Something befalls a connection: a jagged line between the client and the broker."""
        start, end = (
            self.at.end_of(step.source, step, EDGE),
            self.at.end_of(EDGE, step, step.source),
        )
        count = max(int(abs(end - start) // 12), 2)
        wide = (end - start) / count
        points = [f"M{start:.1f} {y:.1f}"]
        points += [
            f"L{start + wide * i:.1f} {y + (3 if i % 2 else -3):.1f}" for i in range(1, count)
        ]
        points.append(f"L{end:.1f} {y:.1f}")
        label = step.words(int(abs(end - start) / LETTER) + 6)
        return [
            f'<path d="{"".join(points)}" fill="none" stroke="{RED}" stroke-width="1.6"/>',
            _text((start + end) / 2, y - 6, label, "middle", 12),
        ]

    def _band(self, step: Step, y: float, colour: str) -> list[str]:
        """Something befalls the broker, or is said of the whole run."""
        left, right = self.at.panel
        label = step.words(int((self.at.width - TIMES) / LETTER) - 4)
        half = max((right - left) / 2, width_of(label) * LETTER / 2 + 12)
        x = min(max((left + right) / 2, TIMES + half), self.at.width - half - 8)
        return [
            f'<rect x="{x - half:.1f}" y="{y - 13:.1f}" width="{2 * half:.1f}" height="20" rx="4" '
            f'fill="{colour}" fill-opacity="0.18" stroke="{colour}" stroke-dasharray="4 2"/>',
            _text(x, y + 1, label, "middle", 12),
        ]


def _path(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" fill="none" {style}/>'


def _text(
    x: float,
    y: float,
    words: str,
    anchor: str,
    size: float,
    *,
    muted: bool = False,
    italic: bool = False,
) -> str:
    look = ' fill-opacity="0.75"' if muted else ""
    look += ' font-style="italic"' if italic else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}"{look} {HALO}>'
        f"{escape(words)}</text>"
    )


def _head_of_arrow(x: float, y: float, way: int, colour: str) -> str:
    points = _points([(x, y), (x - way * 9, y - 4), (x - way * 9, y + 4)])
    return f'<polygon points="{points}" fill="{colour}"/>'


def _cross(x: float, y: float, colour: str) -> str:
    d = f"M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"
    return f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="3"/>'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)
