"""The messages of a trial: from a seed, and not to be guessed without it.

Bodies are made to tell right from wrong and to be told apart by eye: a few random
letters, then words, some beyond ASCII, with blanks and punctuation inside and none
outside, unsorted. Their lengths are given, since the work on a body lasts as long as
it has characters.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
TOKEN = 6
"""So many random characters a body begins with."""
# fmt: off
WORDS = (
    "amber", "blåbær", "café", "done", "dünn", "élan", "fjord", "{a:1}", "gräfin", "håp", "50%",
    "ibis", "jungle", "Ørsted", "#7", "łódź", "mañana", "naïve", "O'Neil", "/x.y", "p;q",
    "quince", "жук", "[z]", "rivière", "sent", "smörgås", "tähti", "ümit", "x=y", "λόγος", "漢字",
    "キツネ", "✓", "🐇",
)
# fmt: on
BYTES_MOST = 390
"""A journal keeps the text of a frame of up to 400 bytes."""


@dataclass(frozen=True)
class Body:
    """What is asked of one body: its length in characters, and how it begins."""

    length: int
    start: str = ""


Wave = tuple[Body, ...]
"""The messages that are published together, in this order."""


def wave(*bodies: int | tuple[str, int]) -> Wave:
    """A wave, each message by its length, or by its beginning and its length."""
    return tuple(Body(b) if isinstance(b, int) else Body(b[1], b[0]) for b in bodies)


def make_bodies(seed: str, waves: Sequence[Wave]) -> list[list[str]]:
    """The bodies of all waves; the same for the same seed, and no two alike."""
    source = random.Random(seed)
    made: set[str] = set()
    return [[_new(source, body, made) for body in one] for one in waves]


def _new(source: random.Random, body: Body, made: set[str]) -> str:
    while True:
        text = body.start + _random(source, body.length - len(body.start))
        honest = body.start or not text.lower().startswith(("bad", "not bad"))
        if text not in made and len(text.encode()) <= BYTES_MOST and honest:
            made.add(text)
            return text


def _random(source: random.Random, length: int) -> str:
    text = "".join(source.choices(PLAIN, k=TOKEN))
    while len(text) < length:
        text += f" {source.choice(WORDS)}"
    text = text[:length]
    return text[:-1] + source.choice(PLAIN) if text.endswith(" ") else text
