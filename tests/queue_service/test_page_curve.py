"""The curve of the page: no peak is lost, no gap painted over, however many samples there are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.queue_service.messages import Sample, State
from labs.queue_service.page_curve import HEIGHT, POINTS, ROWS, WIDTH, Curve, Past, curve

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def sample(ago_s: float, queued: int, **more: int) -> Sample:
    counts = {State.QUEUED: queued, **{State(name): n for name, n in more.items()}}
    return Sample(at=NOW - timedelta(seconds=ago_s), counts=counts)


def drawn(*samples: Sample, span: timedelta = HOUR) -> Curve:
    found = curve(samples, NOW, span)
    assert found
    return found


def points(of: Curve, state: State = State.QUEUED) -> list[list[tuple[float, float]]]:
    """The line of a state: its pieces, each a list of points."""
    (line,) = (line for line in of.lines if line.state is state)
    return [
        [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", piece)]
        for piece in line.path.split("M")[1:]
    ]


def test_a_line_goes_from_left_to_right_as_time_goes_and_up_as_there_are_more() -> None:
    found = drawn(sample(3600, 0), sample(3540, 50), sample(3480, 100))

    assert points(found) == [[(0, HEIGHT), (16.7, HEIGHT / 2), (33.3, 0)]]
    assert found.heights == (100, 50, 0)
    assert [f"{time:%H:%M}" for time in found.times] == [
        "11:00",
        "11:15",
        "11:30",
        "11:45",
        "12:00",
    ]


@pytest.mark.parametrize(
    ("most", "heights"),
    [
        (0, (2, 1, 0)),
        (1, (2, 1, 0)),
        (3, (4, 2, 0)),
        (9, (10, 5, 0)),
        (11, (12, 6, 0)),
        (17, (20, 10, 0)),
        (110, (120, 60, 0)),
        (1_000_000, (1_000_000, 500_000, 0)),
    ],
)
def test_what_stands_beside_it_is_easily_read(most: int, heights: tuple[int, ...]) -> None:
    assert drawn(sample(10, most)).heights == heights


def test_all_states_share_one_height() -> None:
    found = drawn(sample(10, 1, blocked=80, running=2, frozen=3))

    assert found.heights[0] == 80
    assert points(found, State.BLOCKED) == [[(997.2, 0)]]


def test_where_nothing_was_sampled_the_line_is_broken() -> None:
    found = drawn(*(sample(ago, 5) for ago in (600, 595, 590, 300, 295)))

    assert [len(piece) for piece in points(found)] == [3, 2]


def test_one_sample_is_a_dot_and_none_is_no_curve() -> None:
    assert "h0" in drawn(sample(10, 5)).lines[0].path
    assert curve([], NOW, HOUR) is None
    assert curve([sample(3601, 5), sample(-1, 5)], NOW, HOUR) is None


def test_the_same_is_told_in_words_and_in_a_table() -> None:
    found = drawn(sample(50, 1234), sample(10, 3, running=1))

    assert found.words == (
        "Queued: 3 now, between 3 and 1,234; running: 1 now, between 0 and 1; "
        "blocked: 0 now, between 0 and 0; frozen: 0 now, between 0 and 0."
    )
    assert found.rows == [
        (
            NOW - timedelta(seconds=10),
            {State.QUEUED: 3, State.RUNNING: 1, State.BLOCKED: 0, State.FROZEN: 0},
        )
    ]
    assert len(drawn(*(sample(ago, 1) for ago in range(3600, 0, -5))).rows) == ROWS


def test_of_a_day_as_much_is_kept_as_is_drawn_and_no_peak_is_lost() -> None:
    day = timedelta(days=1)
    past = Past(day)
    every = [
        sample(ago, 7_000 if ago == 40_000 else 5, running=ago % 3) for ago in range(86_400, 0, -5)
    ]

    kept = past.take(every, NOW)

    assert len(kept) <= POINTS + 1
    found = drawn(*kept, span=day)
    assert found.lines[0].high == 7_000
    assert len(points(found)) == 1
    assert all(0 <= x <= WIDTH for x, _ in points(found)[0])


def test_what_was_asked_for_is_not_asked_for_again() -> None:
    past = Past(HOUR)
    assert past.since(NOW) == NOW - HOUR

    past.take([sample(30, 1), sample(10, 1)], NOW)

    assert past.since(NOW) == NOW - timedelta(seconds=70)
    assert past.since(NOW + 2 * HOUR) == NOW + HOUR


def test_what_is_too_long_ago_is_forgotten() -> None:
    past = Past(HOUR)
    past.take([sample(10, 1)], NOW)

    assert past.take([], NOW + 2 * HOUR) == []


@given(
    st.lists(st.tuples(st.integers(0, 3600), st.integers(0, 99)), max_size=40),
    st.lists(st.integers(0, 40), max_size=5),
)
def test_however_they_come_in_the_same_is_kept(
    told: list[tuple[int, int]], cuts: list[int]
) -> None:
    samples = [sample(ago, n) for ago, n in told]
    at_once, by_and_by = Past(HOUR), Past(HOUR)
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(samples)], strict=True):
        by_and_by.take(samples[max(begin - 3, 0) : end], NOW)

    def seen(kept: object) -> list[tuple[datetime, Mapping[State, int]]]:
        assert isinstance(kept, list)
        return [(one.at, {s: n for s, n in one.counts.items() if n}) for one in kept]

    assert seen(by_and_by.take([], NOW)) == seen(at_once.take(samples, NOW))
