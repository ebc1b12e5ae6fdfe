"""Waiting for a condition: it is looked at until it is true, or its time is over."""

from __future__ import annotations

import pytest

from labs.errors import WaitedTooLong
from labs.waiting import wait_until


def test_what_the_condition_returns_is_returned() -> None:
    answers = iter([None, 0, "there"])

    assert wait_until(lambda: next(answers), 5, interval_s=0) == "there"


def test_a_condition_is_looked_at_even_when_there_is_no_time_left() -> None:
    assert wait_until(lambda: True, 0)


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(WaitedTooLong, match="the moon"):
        wait_until(lambda: False, 0.01, what="the moon")


def test_what_the_condition_raises_goes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 // 0, 5)
