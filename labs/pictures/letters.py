"""How wide a text is, and how it is made to fit: not every letter takes one column.

Chinese, Japanese and Korean letters and most emoji take two, accents that are written
for themselves none. What can't be shown becomes a replacement mark. Text in, text out.
"""

from __future__ import annotations

import unicodedata


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(columns(letter) for letter in text)


def columns(letter: str) -> int:
    """How many columns one letter takes: 0, 1 or 2."""
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def plain(text: str) -> str:
    """The text in one line, with a mark for each letter that can't be shown."""
    return "".join(c if c.isprintable() or columns(c) == 0 else "\ufffd" for c in text)


def cut(text: str, room: int) -> str:
    """As much of a text as fits into `room` columns; an ellipsis says where it was cut."""
    kept, used, shorter = "", 0, ""
    for letter in text:
        used += columns(letter)
        if used > room:
            return f"{shorter}…" if room > 0 else ""
        kept += letter
        shorter = kept if used < room else shorter
    return text


def fit(verb: str, body: str, after: str, room: int) -> str:
    """`verb body after` in at most `room` columns: the body gives way first, down to a third."""
    verb, body, after = plain(verb), plain(body), plain(after)
    left = room - width_of(verb) - (1 if verb else 0)
    if body:
        beside = width_of(after) + (1 if after else 0)
        body = cut(body, max(left - beside, left // 2))
        left -= width_of(body) + 1
    return cut(" ".join(part for part in (verb, body, cut(after, left)) if part), room)
