"""The paper that pictures are drawn on, and the small marks that they share.

`sheet` puts pieces of SVG on a page with its title, its words and its colours: those of
the page around it where it has such (JupyterLab's variables), else light or dark as the
reader's system prefers. The marks (a tick, a cross, an arrow back…) say how something
ended without a colour. Numbers and text in, pieces of SVG out; no state.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from html import escape

from labs.pictures.letters import plain
from labs.pictures.picture import Picture

BLUE, GREEN, ORANGE, RED, VIOLET, GREY = (
    "#2b76b5",
    "#3f8f4f",
    "#b26a1f",
    "#cc4f45",
    "#8f62c9",
    "#7a7f87",
)
"""Mid-tones that stand out on white and on black; white letters are readable on the first."""
STYLE = (
    "<style>"
    ".qp{--qp-paper:var(--jp-layout-color0,#ffffff);--qp-ink:var(--jp-ui-font-color1,#1f2328)}"
    "@media(prefers-color-scheme:dark){"
    ".qp{--qp-paper:var(--jp-layout-color0,#15191e);--qp-ink:var(--jp-ui-font-color1,#e6e9ed)}}"
    ".qp-paper{fill:var(--qp-paper)}"
    ".qp-ink{fill:var(--qp-ink)}"
    ".qp-line{stroke:var(--qp-ink)}"
    ".qp-halo{stroke:var(--qp-paper);stroke-width:4;paint-order:stroke;stroke-linejoin:round}"
    "</style>"
)
INK = 'class="qp-ink" fill="#1f2328"'
HALO = 'class="qp-ink qp-halo" fill="#1f2328"'
LINE = 'class="qp-line" stroke="#1f2328"'
LETTER = 6.2  # pixels that a letter takes at the size of 12, about


class Sign(StrEnum):
    """A mark of about ten pixels, and the colour that goes with it."""

    TICK = "tick"
    CROSS = "cross"
    BACK = "back"
    BROKEN = "broken"
    DOTS = "dots"
    INTO = "into"
    STOP = "stop"


COLOURS = {
    Sign.TICK: BLUE,
    Sign.CROSS: RED,
    Sign.BACK: VIOLET,
    Sign.BROKEN: ORANGE,
    Sign.DOTS: GREY,
    Sign.INTO: VIOLET,
    Sign.STOP: GREY,
}
PATHS = {
    Sign.TICK: "M-4.5 0l3 3.5l6-7.5",
    Sign.CROSS: "M-4 -4l8 8m0 -8l-8 8",
    Sign.BACK: "M-4.5 -1.5l0 -4m0 4l4 0m-4 0a5 5 0 1 1 1.5 4",
    Sign.BROKEN: "M1.5 -6l-4 6.5l4.5 -1l-3.5 6.5",
    Sign.DOTS: "M-5 0h1.5m3 0h1.5m3 0h1.5",
    Sign.INTO: "M-4.5 -4.5v3a3.5 3.5 0 0 0 3.5 3.5h5m-3 -3.2l3.2 3.2l-3.2 3.2",
    Sign.STOP: "M-3.5 -3.5h7v7h-7z",
}


def sheet(title: str, text: str, parts: Sequence[str], width: float, height: float) -> Picture:
    """A page of so many pixels with its parts on it, and its words beside it."""
    words = escape(plain(" ".join(text.split())))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="qp" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" aria-label="{words}" '
        'style="max-width:100%;height:auto" font-family="system-ui,sans-serif" font-size="12">'
        f"<title>{escape(plain(title))}</title><desc>{words}</desc>{STYLE}"
        f'<rect class="qp-paper" fill="#ffffff" width="{width:g}" height="{height:g}" rx="6"/>'
        f"{''.join(parts)}</svg>"
    )
    return Picture(svg, text)


def words_at(x: float, y: float, text: str, style: str = INK) -> str:
    """A text that begins at x (or has its middle there, if the style says so)."""
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(plain(text))}</text>'


def rule(x1: float, y1: float, x2: float, y2: float, style: str = LINE) -> str:
    """A straight line."""
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" fill="none" {style}/>'


def sign(which: Sign, x: float, y: float, tip: str = "") -> str:
    """A mark with its middle at x, y, on a halo of paper; `tip` shows under the mouse."""
    title = f"<title>{escape(plain(tip))}</title>" if tip else ""
    ends = 'fill="none" stroke-linecap="round" stroke-linejoin="round"'
    return (
        f'<g transform="translate({x:.1f} {y:.1f})">{title}'
        f'<circle class="qp-paper" fill="#ffffff" r="8"/>'
        f'<path d="{PATHS[which]}" stroke="{COLOURS[which]}" stroke-width="2.2" {ends}/></g>'
    )


def step_of(length_s: float) -> float:
    """The distance of two ticks of an axis: 1, 2 or 5 times a power of ten, ten ticks at most."""
    step = 0.01
    while True:
        for factor in (1, 2, 5):
            if length_s / (step * factor) <= 10:
                return step * factor
        step *= 10


def time_axis(length_s: float, left: float, right: float, top: float, y: float) -> list[str]:
    """Seconds from left to right, with thin lines up to the top."""
    parts = [rule(left, y, right, y)]
    step, scale = step_of(length_s), (right - left) / length_s
    decimals = 0 if step >= 1 else 2 if step < 0.1 else 1
    for index in range(int(length_s / step + 1e-9) + 1):
        x = left + index * step * scale
        unit = " s" if index == 0 else ""
        parts.append(rule(x, top, x, y + 4, 'stroke="#80808044"'))
        parts.append(
            words_at(x, y + 17, f"{index * step:.{decimals}f}{unit}", f'text-anchor="middle" {INK}')
        )
    return parts
