"""What a handler said, and how long a job waits: the rules, without a queue."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.job_queue import marks
from labs.job_queue.bus import Message
from labs.job_queue.outcomes import (
    LONGEST_DOUBLING,
    LONGEST_REASON_B,
    LONGEST_TRACEBACK_B,
    Outcome,
    Patience,
    Result,
    attempted,
    bounded,
)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")

    __repr__ = __str__


class Interrupt(BaseException):
    """Like KeyboardInterrupt: no Exception."""


def raising(error: BaseException) -> Callable[[Any], NoReturn]:
    def handler(_: Any) -> NoReturn:
        raise error

    return handler


def test_true_is_done_and_false_is_not_yet() -> None:
    assert attempted(lambda _: True, {}).outcome is Outcome.DONE
    assert attempted(lambda _: False, {}).outcome is Outcome.NOT_YET


@pytest.mark.parametrize("returned", [None, "no", "", 0, 1, [], object(), Outcome.DONE])
def test_whatever_else_is_returned_has_failed_and_the_reason_names_it(returned: Any) -> None:
    result = attempted(lambda _: returned, {})

    assert result.outcome is Outcome.FAILED
    assert repr(returned)[:50] in result.why
    assert "neither True nor False" in result.why


def test_a_forgotten_return_is_asked_after() -> None:
    def forgetful(job: Any) -> bool:  # type: ignore[return]
        job["done"] = True

    assert "`return` forgotten" in attempted(forgetful, {}).why


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ValueError("no such customer"), "ValueError: no such customer"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (Interrupt("stop"), "Interrupt: stop"),
        (MemoryError(), "MemoryError"),
        (Unspeakable(), "Unspeakable: (it can't be shown)"),
        (ValueError("\ud800"), "ValueError: \\ud800"),
    ],
)
def test_whatever_is_raised_has_failed_and_never_escapes(error: BaseException, why: str) -> None:
    result = attempted(raising(error), {})

    assert (result.outcome, result.why) == (Outcome.FAILED, why)


def test_a_handler_that_exits_the_program_has_failed() -> None:
    assert attempted(lambda _: sys.exit("bye"), {}).why == "SystemExit: bye"


def test_a_value_that_cannot_be_shown_has_failed_too() -> None:
    assert "something (Unspeakable)" in attempted(lambda _: Unspeakable(), {}).why  # type: ignore[arg-type, return-value]


def test_the_traceback_begins_in_the_handler_and_keeps_its_end() -> None:
    result = attempted(raising(ValueError("x" * LONGEST_TRACEBACK_B)), {})
    short = attempted(raising(ValueError("short")), {}).traceback

    assert "attempted" not in short
    assert __file__ in short
    assert short.endswith("ValueError: short\n")
    assert len(result.traceback.encode()) <= LONGEST_TRACEBACK_B
    assert len(result.why.encode()) <= LONGEST_REASON_B
    assert result.traceback.endswith("xxx\n")


@given(st.text(), st.integers(min_value=10, max_value=40), st.booleans())
def test_a_bounded_text_is_utf8_of_so_many_bytes(text: str, most_b: int, keep_end: bool) -> None:
    cut = bounded(text, most_b, keep_end=keep_end)

    assert len(cut.encode()) <= most_b
    if len(text.encode("utf-8", "backslashreplace")) <= most_b:
        assert cut == text.encode("utf-8", "backslashreplace").decode()


def test_the_pause_doubles_from_one_second_to_sixty() -> None:
    pauses = [Patience().pause_s(attempt) for attempt in range(1, 10)]

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert Patience().pauses_s() == (1, 2, 4, 8, 16, 32, 60)
    assert Patience(5, 5).pauses_s() == (5,)
    assert len(Patience(1e-300, 1e300).pauses_s()) == LONGEST_DOUBLING


@given(st.integers(), st.floats(0.001, 10), st.floats(10, 1000))
def test_the_pause_is_never_shorter_than_the_first_nor_longer_than_the_longest(
    attempt: int, first_s: float, longest_s: float
) -> None:
    assert first_s <= Patience(first_s, longest_s).pause_s(attempt) <= longest_s


def test_a_message_goes_on_with_its_bytes_and_what_strangers_wrote_on_it() -> None:
    message = Message(b"body", {"trace": "abc", "attempts": 2, "unknown": 3}, "id")

    once_more = marks.again(message, message_id="id", attempts=3)
    failed = marks.failed(
        once_more, Result(Outcome.FAILED, "why", "trace"), message_id="id", job_type="A", attempts=4
    )
    afresh = marks.afresh(failed)

    assert once_more == Message(b"body", {"trace": "abc", "attempts": 3}, "id")
    assert marks.attempts_of(failed) == 4
    assert failed.headers["reason"] == "why"
    assert afresh == Message(b"body", {"trace": "abc"}, "id")


@pytest.mark.parametrize("value", [-1, "many", True, "", 10**30])
def test_counts_that_somebody_else_wrote_are_read_with_care(value: Any) -> None:
    count = marks.attempts_of(Message(b"", {"attempts": value}))

    assert 0 <= count <= marks.LARGEST_COUNT
    assert not isinstance(count, bool)


def test_strangers_headers_that_would_leave_ours_no_room_are_left_out() -> None:
    message = Message(b"body", {"large": "x" * 100_000})

    assert "large" not in marks.again(message, message_id="id", attempts=1).headers
    assert "large" in message.headers


@pytest.mark.parametrize("candidate", [None, 5, "", "x" * 256, "\ud800"])
def test_what_cannot_be_a_messages_id_gives_way_to_the_next(candidate: Any) -> None:
    assert marks.an_id(candidate, "good") == "good"
    assert len(marks.an_id(candidate)) == 36
