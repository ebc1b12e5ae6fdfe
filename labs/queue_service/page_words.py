"""What a person reads on the page, made of values; how text of strangers is made harmless to eyes.

Jinja escapes all that stands in a page. Beyond that, letters that turn text around, hide in it or
can't be encoded are shown as what they are, and what is long is cut.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from labs.queue_service.messages import State
from labs.task_queue.tasks import Json

LONGEST_JSON = 20_000
LONGEST_TEXT = 160
JOINERS = "\u200c\u200d"
"""Invisible, and needed to write Persian and families."""
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@cache
def environment() -> Environment:
    """What makes pages of the templates beside this file; each is read once."""
    made = Environment(
        loader=PackageLoader("labs.queue_service"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        legible=legible, cut=cut, number=number, lasting=lasting, json=as_json, segment=segment
    )
    made.globals.update(clock=clock, State=State)
    return made


def legible(text: str) -> str:
    """The text with what one can't see, or what turns it around, written out: `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(one if _plain(one) else _written_out(one) for one in text)


def cut(text: str, length: int = LONGEST_TEXT) -> str:
    """Its beginning, if it is longer."""
    return legible(text[:length] + "…" if len(text) > length else text)


def number(value: int) -> str:
    """With a comma between thousands."""
    return f"{value:,}"


def lasting(time: timedelta | float) -> str:
    """A duration by its two largest units: `2 h 5 min`."""
    left = int(max(time.total_seconds() if isinstance(time, timedelta) else time, 0))
    for (size, name), (less, lesser) in pairwise(UNITS):
        if left >= size:
            more = left % size // less
            return f"{left // size} {name}" + (f" {more} {lesser}" if more else "")
    return f"{left} s"


def clock(time: datetime, now: datetime) -> Markup:
    """A time in UTC, without the date if it is today's."""
    time = time.astimezone(UTC)
    shown = f"{time:%H:%M:%S}" if time.date() == now.date() else f"{time:%Y-%m-%d %H:%M:%S}"
    return Markup('<time datetime="{}">{}</time>').format(f"{time:%Y-%m-%dT%H:%M:%SZ}", shown)


def as_json(value: Json | Mapping[str, Json]) -> Markup:
    """JSON over many lines; no more of it is written than is shown."""
    parts: list[str] = []
    length = 0
    for part in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
        parts.append(part[:LONGEST_JSON])
        length += len(part)
        if length > LONGEST_JSON:
            return escape("".join(map(legible, parts))[:LONGEST_JSON] + "\n…")
    return escape("".join(map(legible, parts)))


def segment(text: str) -> str:
    """As a part of an address, whatever is in it."""
    return quote(text, safe="", errors="replace")


def _plain(letter: str) -> bool:
    return letter in JOINERS or letter == "\n" or unicodedata.category(letter)[0] != "C"


def _written_out(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
