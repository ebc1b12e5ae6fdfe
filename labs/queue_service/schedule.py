"""When a schedule runs next: a cron expression on the clock of a time zone.

An hour or more hours are named: a run belongs to a time on the clock. If that does not exist
on a day, it runs at the first minute after the gap; if it comes twice, at the first. Every hour:
each hour that passes has its run, so the hour that does not exist has none, and the one that
comes twice has two. UTC goes in, UTC comes out, always later than what went in.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from labs.queue_service.cron import HOUR, MINUTE, no_such_day, read, split
from labs.queue_service.errors import BadMessage

HOURS_OF_A_DAY = 24
ONE_HOUR = timedelta(hours=1)
AROUND = timedelta(hours=12)
"""A clock that is changed within so long before or after counts as being changed."""
NO_ZONES = ("right/", "posix/", "localtime", "posixrules", "Factory")
"""Files beside those of the zones; some differ from machine to machine, some count leap seconds."""


def next_run(
    hashed: str,
    time_zone: str,
    after: datetime,
    *,
    field: str = "cron",
    zone_field: str = "timeZone",
) -> datetime:
    """The first run after `after`, never at it; both in UTC.

    Args:
        hashed: a cron expression without `H`.
        time_zone: an IANA name, such as Europe/Berlin.
        field: how the caller spells the expression, for the error; likewise `zone_field`.

    Raises:
        BadMessage: the expression can't be meant, or has no run; there is no such time zone.
    """
    zone = zone_of(time_zone, field=zone_field)
    local = after.astimezone(zone)
    for run in read(_for_cronsim(hashed, local, field), local, field=field, given=hashed):
        # Of an hour that comes twice, cronsim names the first: that may have been before.
        if (in_utc := run.astimezone(UTC)) > after:
            return in_utc
    raise no_such_day(hashed, field=field)


def zone_of(name: str, *, field: str = "timeZone") -> ZoneInfo:
    """The time zone of this name. Raises BadMessage if there is none."""
    with suppress(LookupError, ValueError, OSError):
        if not name.startswith(NO_ZONES):
            return ZoneInfo(name)
    raise BadMessage(
        f"There is no time zone {name[:64]!r}.",
        field=field,
        remedy="Give one of the IANA names, such as UTC, Europe/Berlin or America/New_York.",
    )


def _for_cronsim(hashed: str, local: datetime, field: str) -> str:
    """The same, spelt so that cronsim keeps to the clock if an hour is named, and else to hours.

    To it, a star at the beginning of minute or hour says that runs follow the hours that pass,
    which would let `*/2` skip a run in spring, and run twice in autumn.
    """
    fields = split(hashed, field=field)
    meant = read(hashed, field=field)
    if len(meant.hours) == HOURS_OF_A_DAY and _changes_by_whole_hours(local):
        fields[HOUR] = "*"
    else:
        fields[HOUR] = ",".join(map(str, sorted(meant.hours)))
        fields[MINUTE] = ",".join(map(str, sorted(meant.minutes)))
    return " ".join(fields)


def _changes_by_whole_hours(local: datetime) -> bool:
    """No: as on Lord Howe Island, where no hour is missing, but half of one."""
    # On the clock: to look 12 hours back and forth, whatever the clock did meanwhile.
    before, after = ((local + by).utcoffset() or timedelta() for by in (-AROUND, AROUND))
    return not (after - before) % ONE_HOUR
