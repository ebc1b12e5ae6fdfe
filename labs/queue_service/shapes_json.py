"""Bytes of a request become JSON here, or are refused with the field that is wrong.

Python reads more than JSON is: NaN, numbers beyond all bounds, a key twice, half a character.
None of it could be kept and given back as it came, so it is refused, and so is NUL, which no
database takes in text. What is well-formed costs one reading; only what looks suspicious is
gone through.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from labs.queue_service.problems import BadRequest, Wrong
from labs.task_queue.tasks import DEEPEST, Json

BODY = "body"
"""What is named if the request as a whole is wrong."""
REMEDY = "Send a JSON object in UTF-8; the document at /openapi.json says what it may hold."
MOST_NAMED = 20
SHOWN = 60
"""Characters of a field's name that are repeated in an answer."""


class _Twice(ValueError):
    """Raised when a key comes twice in one object."""


class _NoNumber(Exception):
    """Raised when a number is none that JSON has."""


def read_json(body: bytes) -> Json:
    """The value.

    Raises:
        BadRequest: it is no JSON, or such as can't be kept.
    """
    suspicious = b"\\u" in body or body.count(b"[") + body.count(b"{") > DEEPEST
    try:
        text = body.decode()
        try:
            value = _DECODER.decode(text)
        except _NoNumber:
            value, suspicious = _LENIENT.decode(text), True
    except _Twice as error:
        raise _refused(Wrong(str(error), "It is there twice.")) from None
    except UnicodeDecodeError:
        raise _refused(Wrong(BODY, "It is not UTF-8.")) from None
    except json.JSONDecodeError as error:
        said = f"It is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        raise _refused(Wrong(BODY, said if body else "It is missing.")) from None
    except RecursionError:
        raise _refused(Wrong(BODY, _TOO_DEEP)) from None
    except ValueError:
        raise _refused(Wrong(BODY, "It has a number of too many digits.")) from None
    if suspicious:
        wrong = [one for one, _ in zip(_unlike_json(value), range(MOST_NAMED), strict=False)]
        if wrong:
            raise _refused(*wrong)
    return value


def named(path: tuple[str | int, ...]) -> str:
    """A field as the caller spells it: `blockedBy.0`."""
    name = ".".join(str(part)[:SHOWN] for part in path)
    return name.encode(errors="backslashreplace").decode() or BODY


_TOO_DEEP = f"It is nested more than {DEEPEST} levels deep."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Twice(named((key,)))
            seen.add(key)
    return found


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NoNumber
    return number


def _no_number(_: str) -> float:
    raise _NoNumber


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_number)
_LENIENT = json.JSONDecoder(object_pairs_hook=_once)


def _unlike_json(whole: Json) -> Iterator[Wrong]:
    """What is in it that JSON, or a database, does not have."""
    to_see: list[tuple[tuple[str | int, ...], Any]] = [((), whole)]
    while to_see:
        path, value = to_see.pop()
        if isinstance(value, str):
            if why := _unlike_text(value):
                yield Wrong(named(path), why)
        elif isinstance(value, float):
            if not math.isfinite(value):
                yield Wrong(named(path), "It is no number that JSON has.")
        elif isinstance(value, dict | list) and len(path) >= DEEPEST:
            yield Wrong(named(path[:1]), _TOO_DEEP)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if why := _unlike_text(key):
                    yield Wrong(named((*path, key)), why)
                to_see.append(((*path, key), inner))
        elif isinstance(value, list):
            to_see += [((*path, n), inner) for n, inner in enumerate(value)]


def _unlike_text(text: str) -> str:
    if "\0" in text:
        return "It has a NUL in it."
    try:
        text.encode()
    except UnicodeEncodeError:
        return "It has half of a character in it (a lone surrogate)."
    return ""


def _refused(*wrong: Wrong) -> BadRequest:
    return BadRequest(wrong, remedy=REMEDY)
