"""Freeze windows: times in which no build starts, each a cron expression in UTC.

Each minute that one of the windows names is frozen. One of day of month and day of week must be
`?`. A window that leaves no minute free, ever, counts for nothing, and so do windows that leave
none together: a build that waits for their end would never run. A calendar has only fourteen
kinds of years, so whether a free minute comes can be told without looking far.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from functools import lru_cache

from cronsim import CronSim

from labs.queue_service.cron import ANY_DAY, DAY, WEEKDAY, read, split
from labs.queue_service.errors import BadMessage

MINUTES_OF_A_DAY = 24 * 60
ALL_DAY = (1 << MINUTES_OF_A_DAY) - 1
"""A set of minutes of a day is a whole number here, of one bit a minute."""
ONE_DAY = timedelta(days=1)
YEARS = 400
"""After so many the calendar begins anew."""


def admitted_window(text: str, n: int) -> str:
    """A window with one space between its fields.

    Args:
        n: which of the message's windows it is, from 0 on, for the error.

    Raises:
        BadMessage: it can't be meant; its field is `freezeWindows.<n>`.
    """
    name = f"freezeWindows.{n}"
    fields = split(text, field=name)
    if "?" not in (fields[DAY], fields[WEEKDAY]):
        raise BadMessage(
            f"The freeze window {text!r} cannot contain both days of month and week.",
            field=name,
            remedy="Write ? for one of them, such as '* 0-6 ? * MON-FRI' or '* * 24-26 12 ?'.",
        )
    read(text, field=name)
    return " ".join(fields)


def exit_of(windows: Sequence[str], now: datetime) -> datetime | None:
    """The first minute after `now` that no window freezes; None if `now` itself is not frozen.

    Raises:
        BadMessage: a window can't be meant: it was not admitted.
    """
    now = now.astimezone(UTC)
    if not any(_window(text).freezes(now) for text in windows):
        return None
    return _exit(tuple(windows), now.replace(second=0, microsecond=0))


@dataclass(frozen=True, slots=True)
class Window:
    """A window as it is meant."""

    cron: CronSim
    minutes: int = field(repr=False)
    """Of each of its days."""

    def holds(self, day: date) -> bool:
        """Whether it freezes some of this day."""
        return day.month in self.cron.months and self.cron.match_day(day)

    def freezes(self, at: datetime) -> bool:
        """Whether it freezes this minute."""
        named = at.minute in self.cron.minutes and at.hour in self.cron.hours
        return named and self.holds(at.date())


@lru_cache(maxsize=1024)
def _window(text: str) -> Window:
    cron = read(text, field="freezeWindows")
    minutes = sum(1 << 60 * hour + minute for hour in cron.hours for minute in cron.minutes)
    return Window(cron, minutes)


@lru_cache(maxsize=1024)
def _leaves_some(text: str) -> bool:
    """Whether a window has an end at all."""
    return _first_free([_window(text)], ANY_DAY) is not None


@lru_cache(maxsize=256)
def _exit(texts: tuple[str, ...], now: datetime) -> datetime | None:
    """As `exit_of`; remembered, for the builds of a minute have mostly the same windows."""
    windows = [_window(text) for text in texts if _leaves_some(text)]
    if not any(window.freezes(now) for window in windows):
        return None
    return _first_free(windows, now)


def _first_free(windows: Sequence[Window], at: datetime) -> datetime | None:
    """The first minute from `at` on that none of them freezes; None if there is none, ever."""
    passed = (1 << 60 * at.hour + at.minute) - 1
    for day in _days(at.date()):
        taken = passed
        for window in windows:
            if window.holds(day):
                taken |= window.minutes
            if taken == ALL_DAY:
                break
        else:
            minute = (~taken & (taken + 1)).bit_length() - 1  # the lowest that is not taken
            return datetime.combine(day, time(minute // 60, minute % 60), tzinfo=UTC)
        passed = 0
    return None


def _days(day: date) -> Iterator[date]:
    """The rest of this year, then a whole one of each kind: others are like one of them."""
    kinds = set()
    for year in range(day.year, min(day.year + YEARS, MAXYEAR) + 1):
        kind = (isleap(year), date(year, 1, 1).weekday())
        if kind in kinds:
            continue
        begin = date(year, 1, 1)
        if year == day.year:
            begin = day
        else:
            kinds.add(kind)
        for n in range((date(year, 12, 31) - begin).days + 1):
            yield begin + n * ONE_DAY
