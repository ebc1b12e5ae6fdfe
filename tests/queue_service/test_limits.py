"""Requests a second of one principal: arithmetic, held against a count of what was let through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.errors import BadInput
from labs.queue_service.errors import Overloaded
from labs.queue_service.limits import RateLimit


def let_through(limit: RateLimit, subject: str, now: float) -> bool:
    try:
        limit.take(subject, now)
    except Overloaded:
        return False
    return True


def test_as_many_as_in_a_second_at_once_and_then_one_by_one() -> None:
    limit = RateLimit(per_s=5)
    assert [let_through(limit, "ann", 100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert let_through(limit, "ann", 100.2)
    assert not let_through(limit, "ann", 100.2)


def test_it_says_when_to_come_again_and_then_lets_one_through() -> None:
    limit = RateLimit(per_s=2, burst=1)
    limit.take("ann", 10.0)
    with pytest.raises(Overloaded, match="More than 2 requests a second") as refused:
        limit.take("ann", 10.1)
    assert refused.value.retry_after_s == pytest.approx(0.4)
    assert "0.4 s" in refused.value.remedy
    assert let_through(limit, "ann", 10.1 + refused.value.retry_after_s)


def test_a_refusal_costs_nothing() -> None:
    limit = RateLimit(per_s=1)
    limit.take("ann", 0.0)
    for _ in range(50):
        assert not let_through(limit, "ann", 0.5)
    assert let_through(limit, "ann", 1.0)


def test_each_has_a_bucket_of_their_own() -> None:
    limit = RateLimit(per_s=1)
    assert let_through(limit, "ann", 0.0)
    assert not let_through(limit, "ann", 0.0)
    assert let_through(limit, "bob", 0.0)


def test_no_more_is_kept_than_there_is_room_for_and_who_was_refused_is_kept() -> None:
    limit = RateLimit(per_s=1, most=3)
    for subject in "abc":
        limit.take(subject, 0.0)
    assert not let_through(limit, "a", 0.0)
    limit.take("d", 0.0)
    assert len(limit) == 3
    assert not let_through(limit, "a", 0.0), "the longest at rest was forgotten: b"
    assert let_through(limit, "b", 0.0)


@given(
    per_s=st.floats(0.5, 50),
    burst=st.floats(1, 20),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_in_no_stretch_of_time_more_than_the_burst_and_the_rate(
    per_s: float, burst: float, pauses: list[float]
) -> None:
    limit = RateLimit(per_s=per_s, burst=burst)
    now, passed = 0.0, []
    for pause_s in pauses:
        now += pause_s
        if let_through(limit, "ann", now):
            passed.append(now)
    for first, begun in enumerate(passed):
        for n, ended in enumerate(passed[first:], 1):
            assert n <= burst + (ended - begun) * per_s + 1e-6


@pytest.mark.parametrize("settings", [{"per_s": 0}, {"per_s": -1}, {"per_s": 1, "most": 0}])
def test_what_can_not_be_meant_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        RateLimit(**settings)  # type: ignore[arg-type]  # on purpose
