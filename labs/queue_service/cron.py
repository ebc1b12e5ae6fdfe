"""Cron expressions as the queue service takes them: five fields, and `H` for a hashed number.

`H` spreads jobs over time: each job gets numbers of its own, always the same. The minute can't
be chosen at all, so that not everybody starts at full hours. Text goes in, text without `H`
comes out, or a `BadMessage` that names the expression and what was expected; `read` makes of it
what cronsim understands. The other files ask cronsim through here alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from labs.queue_service.errors import BadMessage

MAX_LENGTH = 256
HASH_START = 5381
UINT32 = 0xFFFFFFFF
MINUTE, HOUR, DAY, MONTH, WEEKDAY = range(5)
ANY_DAY = datetime(2000, 1, 1, tzinfo=UTC)

_RANGED = re.compile(r"H\(([0-9]+)-([0-9]+)\)")
_STEPPED = re.compile(r"H/([0-9]+)")


@dataclass(frozen=True, slots=True)
class Unit:
    """What a field counts, and from what to what; `may` says what it may hold besides."""

    name: str
    low: int
    high: int
    may: str = ""


UNITS = (
    Unit("minute", 0, 59),
    Unit("hour", 0, 23),
    Unit("day of month", 1, 31, "L for the last one, or ?"),
    Unit("month", 1, 12, "JAN to DEC"),
    Unit("day of week", 0, 6, "7, SUN to SAT, or ?"),
)


def hashed(expression: str, job_id: int, *, field: str = "cron") -> str:
    """A cron expression with a job's own numbers in place of each `H`.

    The minute becomes `H` unless it is that already, or holds an `H(a-b)`.

    Args:
        field: how the caller spells it, for the error.

    Raises:
        BadMessage: it has not five fields, or one of them can't be meant.
    """
    fields = split(expression, field=field)
    if not _RANGED.search(fields[MINUTE]):
        fields[MINUTE] = "H"
    number = hash_of(str(job_id))
    plain = " ".join(
        ",".join(_without_h(part, number, unit, expression, field) for part in text.split(","))
        for text, unit in zip(fields, UNITS, strict=True)
    )
    read(plain, field=field, given=expression)
    return plain


def hash_of(text: str) -> int:
    """A number of 32 bits, the same for the same text for ever."""
    number = HASH_START
    for letter in reversed(text):
        number = (number * 33 & UINT32) ^ ord(letter)
    return number


def split(expression: str, *, field: str) -> list[str]:
    """The five fields. Raises BadMessage if there are more or fewer."""
    if len(expression) > MAX_LENGTH:
        raise BadMessage(
            f"A cron expression has {MAX_LENGTH} letters at most, this has {len(expression)}.",
            field=field,
            remedy="Write ranges, such as 1-5, and steps, such as */10.",
        )
    fields = expression.split()
    if len(fields) != len(UNITS):
        raise BadMessage(
            f"The cron expression {expression!r} has {len(fields)} fields, not 5.",
            field=field,
            remedy="Give minute, hour, day of month, month and day of week, with spaces between.",
        )
    return fields


def read(
    expression: str, at: datetime = ANY_DAY, *, field: str, given: str | None = None
) -> CronSim:
    """What cronsim makes of an expression without `H`; it goes on from `at`.

    Args:
        given: as the caller wrote it, for the error.

    Raises:
        BadMessage: a field can't be meant, or no year has such a day.
    """
    fields = [text.upper() for text in split(expression, field=field)]
    for i in (DAY, WEEKDAY):
        if fields[i] == "?":
            fields[i] = "*"
    try:
        return CronSim(" ".join(fields), at)
    except CronSimError:
        wrong = next((i for i in range(len(fields)) if not _alone(i, fields[i])), None)
        raise _refused(given or expression, fields, wrong, field) from None


def no_such_day(expression: str, *, field: str) -> BadMessage:
    """What is said of 30 February."""
    return BadMessage(
        f"The cron expression {expression!r} asks for a day that never comes.",
        field=field,
        remedy="Look at its day of month and its month: no 30 February, no 31 April.",
    )


def _without_h(part: str, number: int, unit: Unit, expression: str, field: str) -> str:
    def within(low: int, high: int) -> str:
        return str(number % (high - low + 1) + low)

    if part == "H":
        return within(unit.low, unit.high)
    if stepped := _STEPPED.fullmatch(part):
        return f"{within(unit.low, unit.high)}/{stepped[1]}"
    if ranged := _RANGED.fullmatch(part):
        low, high = int(ranged[1]), int(ranged[2])
        if not unit.low <= low <= high <= unit.high:
            raise BadMessage(
                f"In the cron expression {expression!r}, {part} is no range of the {unit.name}: "
                f"expected H(a-b) with a not above b, both within {unit.low}-{unit.high}.",
                field=field,
                remedy=f"Write H for any, or for instance H({unit.low}-{unit.high}).",
            )
        return within(low, high)
    return part


def _alone(i: int, text: str) -> bool:
    """Whether cronsim understands this field if the others say nothing."""
    fields = ["*"] * len(UNITS)
    fields[i] = text
    try:
        CronSim(" ".join(fields), ANY_DAY)
    except CronSimError:
        return False
    return True


def _refused(expression: str, fields: list[str], wrong: int | None, field: str) -> BadMessage:
    if wrong is None:
        return no_such_day(expression, field=field)
    unit = UNITS[wrong]
    besides = f", or {unit.may}" if unit.may else ""
    return BadMessage(
        f"In the cron expression {expression!r}, the {unit.name} {fields[wrong]!r} can't be meant: "
        f"expected {unit.low}-{unit.high}{besides}.",
        field=field,
        remedy="Write a number, *, a range such as 1-5, a step such as */2, or several with commas "
        "between.",
    )
