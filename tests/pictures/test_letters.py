"""Text made to fit: as many columns as asked for, whatever letters it is of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.pictures.letters import cut, fit, plain, width_of


@pytest.mark.parametrize(
    ("text", "width"),
    [("job-1", 5), ("", 0), ("日本", 4), ("e\u0301", 1), ("🐇", 2), ("Grüße", 5)],
)
def test_the_width_of_a_text_is_counted_in_columns(text: str, width: int) -> None:
    assert width_of(text) == width


@pytest.mark.parametrize(
    ("text", "room", "cut_to"),
    [
        ("job-1", 5, "job-1"),
        ("job-12", 5, "job-…"),
        ("日本語", 5, "日本…"),
        ("日本語", 6, "日本語"),
        ("日本語", 4, "日…"),
        ("anything", 0, ""),
    ],
)
def test_an_ellipsis_says_where_a_text_was_cut(text: str, room: int, cut_to: str) -> None:
    assert cut(text, room) == cut_to


def test_the_body_gives_way_before_the_words_around_it() -> None:
    assert fit("deliver", "a long message's body", "again", 25) == "deliver a long mes… again"
    assert fit("deliver", "job-1", "again", 25) == "deliver job-1 again"


def test_what_cannot_be_shown_is_marked_and_nothing_breaks_the_line() -> None:
    assert plain("a\tb\nc\x07") == "a\ufffdb\ufffdc\ufffd"


@given(st.text(), st.text(), st.text(), st.integers(0, 60))
def test_it_never_takes_more_room_than_there_is(
    verb: str, body: str, after: str, room: int
) -> None:
    assert width_of(fit(verb, body, after, room)) <= room
