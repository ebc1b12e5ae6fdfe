"""How many there are of each kind: a bar a kind, with its number beside it.

Names with numbers go in, a `Picture` comes out. The bars begin at nought, so that twice as
long is twice as many. The same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from labs.pictures.letters import cut, plain, width_of
from labs.pictures.picture import Picture
from labs.pictures.sheet import BLUE, GREY, INK, LETTER, rule, sheet, words_at

WIDTH, TOP, RIGHT, FOOT = 900, 40, 70, 12
LINE, BAR = 26, 16
NAME, MOST = 40, 24


def draw_tally(title: str, counts: Mapping[str, float], *, unit: str = "") -> Picture:
    """A bar for each, in their order, as an SVG of 900 pixels' width, and in words.

    `unit`: what is counted, such as `commits`; it stands beside the first number.
    """
    shown = dict(list(counts.items())[:MOST])
    left = 26 + LETTER * max((width_of(cut(plain(name), NAME)) for name in shown), default=0)
    scale = (WIDTH - left - RIGHT) / max(1.0, *shown.values(), 1.0)
    parts = [words_at(10, 20, cut(title, 110), f'font-weight="bold" {INK}')]
    for number, (name, count) in enumerate(shown.items()):
        middle = TOP + LINE * number + LINE / 2
        width = max(count * scale, 0.0)
        said = f"{count:g} {unit}".rstrip() if number == 0 else f"{count:g}"
        parts += [
            words_at(left - 10, middle + 4, cut(name, NAME), f'text-anchor="end" {INK}'),
            f'<rect x="{left:.1f}" y="{middle - BAR / 2:.1f}" width="{width:.1f}" '
            f'height="{BAR}" rx="2" fill="{BLUE}"/>',
            words_at(left + width + 6, middle + 4, said),
        ]
    bottom = TOP + LINE * len(shown)
    parts.append(rule(left, TOP, left, bottom, f'stroke="{GREY}"'))
    if len(counts) > len(shown):
        parts.append(words_at(10, bottom + 14, f"… and {len(counts) - len(shown)} more"))
        bottom += 20
    return sheet(title, in_words(title, counts, unit), parts, WIDTH, bottom + FOOT)


def in_words(title: str, counts: Mapping[str, float], unit: str = "") -> str:
    """The same as text, one line a kind: the picture's alternative."""
    room = min(NAME, max((width_of(plain(name)) for name in counts), default=0))
    lines = [f"{cut(plain(title), 90)}:" if counts else f"{cut(plain(title), 90)}: nothing."]
    for name, count in list(counts.items())[:MOST]:
        said = cut(plain(name), NAME)
        lines.append(f"  {' ' * (room - width_of(said))}{said}: {count:g} {unit}".rstrip())
    if len(counts) > MOST:
        lines.append(f"  … and {len(counts) - MOST} more")
    return "\n".join(lines)
