"""Freeze windows: what is frozen, and the first minute that is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.queue_service.errors import BadMessage
from labs.queue_service.freezing import admitted_window, exit_of

MINUTE = timedelta(minutes=1)
MONDAY = "2026-11-23 08:15"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_window_is_admitted_with_its_spaces_in_order() -> None:
    assert admitted_window(" *  7-9 ?\t* MON-FRI\n", 0) == "* 7-9 ? * MON-FRI"
    assert admitted_window("* * 24-26 12 ?", 0) == "* * 24-26 12 ?"
    assert admitted_window("* 0 ? * ?", 0) == "* 0 ? * ?"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("* * 1 * MON", "cannot contain both days of month and week"),
        ("* * * * *", "cannot contain both days of month and week"),
        ("* * * *", "has 4 fields, not 5"),
        ("* * * * ? *", "has 6 fields, not 5"),
        ("", "has 0 fields, not 5"),
        ("* 24 ? * *", "the hour '24' can't be meant: expected 0-23"),
        ("H * ? * *", "the minute 'H' can't be meant: expected 0-59"),
        ("? * ? * *", "the minute '?' can't be meant: expected 0-59"),
        ("* * 30 2 ?", "a day that never comes"),
    ],
)
def test_a_bad_window_is_refused_by_its_place_in_the_list(text: str, says: str) -> None:
    with pytest.raises(BadMessage) as refused:
        admitted_window(text, 3)

    assert refused.value.field == "freezeWindows.3"
    assert repr(text) in str(refused.value)
    assert says in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("windows", "now", "ends"),
    [
        ([], MONDAY, None),
        (["* 9 ? * *"], MONDAY, None),
        (["* 8 ? * *"], MONDAY, "2026-11-23 09:00"),
        (["15 8 ? * *"], MONDAY, "2026-11-23 08:16"),
        (["15-59 8 ? * *"], MONDAY, "2026-11-23 09:00"),
        (["* 8-23 ? * *"], MONDAY, "2026-11-24 00:00"),
        (["* * 23 * ?"], MONDAY, "2026-11-24 00:00"),
        (["* * ? 11 *"], MONDAY, "2026-12-01 00:00"),
        (["* * ? 11,12 *"], MONDAY, "2027-01-01 00:00"),
        (["* * ? * MON-FRI"], MONDAY, "2026-11-28 00:00"),
        (["* * ? * 5-7"], MONDAY, None),
        (["* * ? * 0,7"], "2026-11-29 23:59", "2026-11-30 00:00"),
        (["* * ? * 1L"], "2026-11-30 12:00", "2026-12-01 00:00"),
        (["* * ? * 1L"], MONDAY, None),
        (["* * L * ?"], "2028-02-29 12:00", "2028-03-01 00:00"),
        (["* * ? * 1#4"], MONDAY, "2026-11-24 00:00"),
        (["*/15 * ? * *"], MONDAY, "2026-11-23 08:16"),
        (["* * 24-31 12 ?", "* * 1 1 ?"], "2026-12-24 00:00", "2027-01-02 00:00"),
        (["* 8 ? * *", "* 9 ? * *", "* 10 ? * *"], MONDAY, "2026-11-23 11:00"),
        (["* 10 ? * *", "* 9 ? * *", "0-29 8 ? * *"], MONDAY, "2026-11-23 08:30"),
    ],
)
def test_a_frozen_build_waits_for_the_first_minute_that_no_window_names(
    windows: list[str], now: str, ends: str | None
) -> None:
    assert exit_of(windows, at(now)) == (ends and at(ends))


def test_a_minute_is_frozen_from_its_first_moment_to_its_last() -> None:
    window = ["15 8 ? * *"]
    assert exit_of(window, at("2026-11-23 08:14:59.999999")) is None
    assert exit_of(window, at("2026-11-23 08:15:00")) == at("2026-11-23 08:16")
    assert exit_of(window, at("2026-11-23 08:15:59.999999")) == at("2026-11-23 08:16")
    assert exit_of(window, at("2026-11-23 08:16:00")) is None


def test_windows_are_in_utc_wherever_the_clock_of_the_caller_is() -> None:
    in_india = at(MONDAY).astimezone(ZoneInfo("Asia/Kolkata"))

    end = exit_of(["* 8 ? * *"], in_india)

    assert end == at("2026-11-23 09:00")
    assert end.tzinfo is UTC


@pytest.mark.parametrize(
    "windows",
    [
        ["* * * * ?"],
        ["* * ? * *"],
        ["* * 1-31 1-12 ?"],
        ["0-59 */1 ? * 1-7"],
        ["0-29 * ? * *", "30-59 * ? * *"],
        ["* * 1-28 * ?", "* * ? 1,3-12 *", "* * 29 2 ?"],
    ],
)
def test_windows_that_leave_no_minute_free_ever_freeze_nothing(windows: list[str]) -> None:
    assert exit_of(windows, at(MONDAY)) is None


def test_beside_a_window_that_never_ends_others_count() -> None:
    assert exit_of(["* * ? * *", "* 8 ? * *"], at(MONDAY)) == at("2026-11-23 09:00")
    assert exit_of(["* * ? * *", "* 9 ? * *"], at(MONDAY)) is None


def test_an_end_that_is_years_away_is_found() -> None:
    but_29_february = ["* * ? 1,3-12 *", "* * 1-28 2 ?"]
    assert exit_of(but_29_february, at("2096-03-01 00:00")) == at("2104-02-29 00:00")
    but_a_sunday = [*but_29_february, "* * ? 2 1-6"]
    assert exit_of(but_a_sunday, at("2088-03-01 00:00")) == at("2128-02-29 00:00")


# --- Held against a walk from minute to minute --------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """A window as text, and the numbers that its fields stand for."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @property
    def ends(self) -> bool:
        return sum(map(len, (self.minutes, self.hours, self.days, self.months, self.weekdays))) < (
            60 + 24 + 31 + 12 + 7
        )

    def freezes(self, time: datetime) -> bool:
        return (
            time.minute in self.minutes
            and time.hour in self.hours
            and time.day in self.days
            and time.month in self.months
            and time.isoweekday() % 7 in self.weekdays
        )


@st.composite
def field(draw: st.DrawFn, low: int, high: int, near: int) -> tuple[str, frozenset[int]]:
    """The text of a field, and what it stands for; mostly with `near` in it."""
    every = frozenset(range(low, high + 1))
    kind = draw(st.sampled_from(["*", "range", "range", "list", "step"]))
    if kind == "range":
        a = draw(st.integers(low, near))
        b = draw(st.integers(near, high))
        return f"{a}-{b}", frozenset(range(a, b + 1))
    if kind == "list":
        some = draw(st.frozensets(st.integers(low, high), min_size=1, max_size=6)) | {near}
        return ",".join(map(str, sorted(some))), some
    if kind == "step":
        step = draw(st.integers(1, high))
        return f"{low}/{step}", frozenset(range(low, high + 1, step))
    return "*", every


@st.composite
def drawn(draw: st.DrawFn, now: datetime) -> Drawn:
    minute, minutes = draw(field(0, 59, now.minute))
    hour, hours = draw(field(0, 23, now.hour))
    day, days = draw(field(1, 31, now.day))
    month, months = draw(field(1, 12, now.month))
    weekday, weekdays = draw(field(0, 6, now.isoweekday() % 7))
    if draw(st.booleans()):
        day, days = "?", frozenset(range(1, 32))
    else:
        weekday, weekdays = "?", frozenset(range(7))
    if min(days) > 28:  # so that no day is asked for that never comes
        month, months = "*", frozenset(range(1, 13))
    text = f"{minute} {hour} {day} {month} {weekday}"
    return Drawn(text, minutes, hours, days, months, weekdays)


WALKED = 3 * 24 * 60


@settings(deadline=None)
@given(st.data(), st.datetimes(at("2026-01-01 00:00").replace(tzinfo=None), datetime(2029, 1, 1)))
def test_an_end_is_that_which_a_walk_from_minute_to_minute_finds(
    data: st.DataObject, naive: datetime
) -> None:
    now = naive.replace(tzinfo=UTC)
    windows = data.draw(st.lists(drawn(now), min_size=1, max_size=4))
    texts = [admitted_window(window.text, n) for n, window in enumerate(windows)]
    windows = [window for window in windows if window.ends]

    found = exit_of(texts, now)

    begin = now.replace(second=0, microsecond=0)
    walk = (begin + n * MINUTE for n in range(WALKED))
    free = next((time for time in walk if not any(w.freezes(time) for w in windows)), None)
    if free == begin:
        assert found is None
    elif free is not None:
        assert found == free
    elif found is not None:
        assert found >= begin + WALKED * MINUTE
        assert not any(window.freezes(found) for window in windows)
        assert any(window.freezes(found - MINUTE) for window in windows)
