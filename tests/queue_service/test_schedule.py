"""When schedules run: on the clock of their zone, whatever is done to that clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.queue_service.cron import hashed
from labs.queue_service.errors import BadMessage
from labs.queue_service.schedule import next_run

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    while True:
        after = next_run(cron, zone, after)
        yield after


def on_the_clock(cron: str, zone: str, after: str, n: int) -> list[str]:
    """The next runs as the clock shows them there, with what it is ahead of UTC."""
    found = islice(runs(cron, zone, at(after)), n)
    return [f"{run.astimezone(ZoneInfo(zone)):%d %H:%M %z}" for run in found]


def test_a_run_is_later_than_what_it_is_asked_for_even_by_no_more_than_a_moment() -> None:
    assert next_run("9 3 * * *", "UTC", at("2026-11-23 03:08:59.999999")) == at("2026-11-23 03:09")
    assert next_run("9 3 * * *", "UTC", at("2026-11-23 03:09")) == at("2026-11-24 03:09")
    assert next_run("9 3 * * *", "UTC", at("2026-11-23 03:09:00.000001")) == at("2026-11-24 03:09")


def test_a_hashed_expression_runs_at_the_jobs_own_minute() -> None:
    assert next_run(hashed("* H(0-5) * * *", 123), "UTC", at("2026-11-23 00:00")) == at(
        "2026-11-23 03:09"
    )


def test_the_clock_is_that_of_the_time_zone_and_the_answer_in_utc() -> None:
    run = next_run("30 8 * * *", "Asia/Kolkata", at("2026-11-23 00:00"))

    assert run == at("2026-11-23 03:00")
    assert run.tzinfo is UTC


def test_a_question_mark_means_any_day() -> None:
    assert next_run("0 12 ? * 1", "UTC", at("2026-11-24 00:00")) == at("2026-11-30 12:00")
    assert next_run("0 12 13 * ?", "UTC", at("2026-11-24 00:00")) == at("2026-12-13 12:00")


@pytest.mark.parametrize(
    ("cron", "run"),
    [
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("0 0 L * *", "2026-11-30 00:00"),
        ("0 0 LW 1 *", "2027-01-29 00:00"),
        ("0 0 * * 5L", "2026-11-27 00:00"),
        ("0 0 * 2 MON#5", "2044-02-29 00:00"),
        ("0 0 13 * FRI", "2026-11-27 00:00"),  # both days set: either of them
    ],
)
def test_days_that_come_seldom_come(cron: str, run: str) -> None:
    assert next_run(cron, "UTC", at("2026-11-23 00:00")) == at(run)


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 */30 2 1#5"])
def test_a_schedule_that_never_runs_is_refused(cron: str) -> None:
    with pytest.raises(BadMessage, match="asks for a day that never comes") as refused:
        next_run(cron, "Europe/Berlin", at("2026-11-23 00:00"))

    assert refused.value.field == "cron"
    assert repr(cron) in str(refused.value)


# --- A time that does not exist -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "after", "clock"),
    [
        (
            "Europe/Berlin",  # 29 March 2026, 02:00 becomes 03:00
            "2026-03-27 12:00",
            ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"],
        ),
        (
            "America/New_York",  # 8 March 2026
            "2026-03-06 12:00",
            ["07 02:30 -0500", "08 03:00 -0400", "09 02:30 -0400"],
        ),
        (
            "Australia/Sydney",  # 4 October 2026
            "2026-10-02 12:00",
            ["03 02:30 +1000", "04 03:00 +1100", "05 02:30 +1100"],
        ),
        (
            "Australia/Lord_Howe",  # 4 October 2026, by half an hour: 02:30 exists
            "2026-10-02 12:00",
            ["03 02:30 +1030", "04 02:30 +1100", "05 02:30 +1100"],
        ),
    ],
)
def test_a_run_whose_time_does_not_exist_is_made_up_for_at_once_after_the_gap(
    zone: str, after: str, clock: list[str]
) -> None:
    assert on_the_clock("30 2 * * *", zone, after, 3) == clock


def test_where_midnight_does_not_exist_the_day_begins_with_the_run() -> None:
    # Santiago de Chile, 6 September 2026: 00:00 becomes 01:00.
    clock = on_the_clock("9 0 * * *", "America/Santiago", "2026-09-05 12:00", 2)
    assert clock == ["06 01:00 -0300", "07 00:09 -0300"]


@pytest.mark.parametrize("minutes", ["0,20,40", "*/20"])
def test_several_runs_in_a_gap_are_one_after_it(minutes: str) -> None:
    clock = on_the_clock(f"{minutes} 2,3 * * *", "Europe/Berlin", "2026-03-29 00:00", 4)
    assert clock == ["29 03:00 +0200", "29 03:20 +0200", "29 03:40 +0200", "30 02:00 +0200"]


def test_a_day_that_does_not_exist_has_its_run_when_the_next_begins() -> None:
    # Samoa went over the date line: 30 December 2011 did not come.
    clock = on_the_clock("9 4 * * *", "Pacific/Apia", "2011-12-29 00:00", 3)
    assert clock == ["29 04:09 -1000", "31 00:00 +1400", "31 04:09 +1400"]


# --- A time that comes twice --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "after", "clock"),
    [
        (
            "Europe/Berlin",  # 25 October 2026, 03:00 becomes 02:00
            "2026-10-24 12:00",
            ["25 02:30 +0200", "26 02:30 +0100"],
        ),
        (
            "America/Santiago",  # 5 April 2026: 24:00 becomes 23:00 of the day before
            "2026-04-03 12:00",
            ["04 02:30 -0300", "05 02:30 -0400"],
        ),
        (
            "Australia/Sydney",  # 5 April 2026
            "2026-04-04 12:00",
            ["05 02:30 +1100", "06 02:30 +1000"],
        ),
    ],
)
def test_a_run_whose_time_comes_twice_runs_at_the_first(
    zone: str, after: str, clock: list[str]
) -> None:
    assert on_the_clock("30 2 * * *", zone, after, 2) == clock


def test_who_asks_between_the_two_gets_the_next_day() -> None:
    between = at("2026-10-25 00:45")  # 02:45 for the first time
    second = at("2026-10-25 01:15")  # 02:15 for the second
    for after in (between, second):
        assert next_run("30 2 * * *", "Europe/Berlin", after) == at("2026-10-26 01:30")


def test_every_other_hour_keeps_to_the_clock_as_named_hours_do() -> None:
    assert on_the_clock("9 */2 * * *", "Europe/Berlin", "2026-03-28 23:30", 3) == [
        "29 03:00 +0200",
        "29 04:09 +0200",
        "29 06:09 +0200",
    ]
    assert on_the_clock("9 */2 * * *", "Europe/Berlin", "2026-10-24 23:30", 2) == [
        "25 02:09 +0200",
        "25 04:09 +0100",
    ]


# --- Every hour ---------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", ["*", "0-23", "*/1"])
def test_every_hour_is_every_hour_that_passes(hours: str) -> None:
    for zone, after in (
        ("Europe/Berlin", "2026-03-28 22:00"),
        ("Europe/Berlin", "2026-10-24 22:00"),
        ("America/Santiago", "2026-04-05 00:00"),
        ("Australia/Sydney", "2026-10-03 12:00"),
    ):
        found = list(islice(runs(f"9 {hours} * * *", zone, at(after)), 8))
        assert found == [at(after) + 9 * MINUTE + n * 60 * MINUTE for n in range(8)]


def test_an_hour_that_is_half_or_half_as_long_again_has_one_run() -> None:
    assert on_the_clock("9 * * * *", "Australia/Lord_Howe", "2026-10-03 14:00", 4) == [
        "04 01:09 +1030",
        "04 02:30 +1100",
        "04 03:09 +1100",
        "04 04:09 +1100",
    ]
    assert on_the_clock("45 * * * *", "Australia/Lord_Howe", "2026-04-04 14:00", 3) == [
        "05 01:45 +1100",
        "05 02:45 +1030",
        "05 03:45 +1030",
    ]


# --- Held against a walk from minute to minute --------------------------------------------------

CHANGES = [  # the day on which a clock is changed, and where
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("America/Santiago", "2026-04-05"),
    ("America/Santiago", "2026-09-06"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Havana", "2026-11-01"),
    ("Asia/Beirut", "2026-10-25"),
    ("Pacific/Apia", "2011-12-30"),
    ("UTC", "2026-03-29"),
]


@cache
def walk(zone: str, day: str) -> list[tuple[datetime, datetime]]:
    """Each minute of some days in UTC, and what the clock shows."""
    begin = at(day) - DAY
    minutes = [begin + n * MINUTE for n in range(5 * 24 * 60)]
    return [(u, u.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for u in minutes]


def by_walking(
    minutes: set[int], hours: set[int], zone: str, day: str, after: datetime
) -> datetime:
    """The first minute after `after` at which there is a run."""
    walked = walk(zone, day)
    if len(hours) == 24 and "Lord_Howe" not in zone:
        return next(u for u, w in walked if u > after and w.minute in minutes)
    first_shown = walked[0][1]
    wanted = (
        shown
        for n in range(6 * 24 * 60)
        if (shown := first_shown + n * MINUTE).minute in minutes and shown.hour in hours
    )
    i = 0
    for time in wanted:
        # A time on the clock is over as soon as the clock shows it, or a later one.
        while walked[i][1] < time:
            i += 1
        if walked[i][0] > after:
            return walked[i][0]
    raise AssertionError


@settings(deadline=None, max_examples=60)
@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=3),
    hours=st.one_of(
        st.sets(st.integers(0, 23), min_size=1), st.just(set(range(24))), st.just({1, 2, 3})
    ),
    change=st.sampled_from(CHANGES),
    minute=st.integers(0, 2 * 24 * 60),
    second=st.sampled_from([0, 0, 59]),
)
def test_runs_are_those_that_a_walk_from_minute_to_minute_finds(
    minutes: set[int], hours: set[int], change: tuple[str, str], minute: int, second: int
) -> None:
    zone, day = change
    after = at(day) - DAY / 2 + minute * MINUTE + timedelta(seconds=second)
    cron = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"

    assert next_run(cron, zone, after) == by_walking(minutes, hours, zone, day, after)


# --- Zones --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone",
    ["", "Mars/Olympus", "Europe", "../etc/passwd", "localtime", "right/UTC", "\0", "Z" * 5000],
)
def test_an_unknown_time_zone_is_refused_by_name(zone: str) -> None:
    with pytest.raises(BadMessage, match=re.escape(repr(zone[:64]))) as refused:
        next_run("9 3 * * *", zone, at("2026-11-23 00:00"), zone_field="zone")

    assert refused.value.field == "zone"
    assert "Europe/Berlin" in refused.value.remedy
    assert len(str(refused.value)) < 500
