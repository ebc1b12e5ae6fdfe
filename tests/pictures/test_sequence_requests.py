"""Requests to a queue service in a sequence diagram: who sent what, and who heard of it."""

from __future__ import annotations

from labs.pictures.run import draw_run
from tests.judge.order_tale import OrderTale


def drawn(tale: OrderTale) -> list[str]:
    """The lines of the picture in text."""
    return draw_run(tale.events, width=100).text.splitlines()


def line_with(lines: list[str], words: str) -> str:
    (line,) = (line for line in lines if words in line)
    return line


def test_an_answer_that_nobody_heard_does_not_arrive() -> None:
    lines = drawn(OrderTale("x").loses_the_answer("x", build=5).starts("x", build=6).ends())
    assert "queue-service" in lines[1]
    assert line_with(lines, "POST x as build 5").rstrip(" │").endswith(">")
    assert "x" in line_with(lines, "the answer gets lost")
    swallowed, heard = (line for line in lines if "201 x" in line)
    assert "<" in heard
    assert "<" not in swallowed, "the arrow has no head on the program's side"
    assert line_with(lines, "started x")
    assert sum("left: x" in line for line in lines) == 2, "it is there twice"


def test_it_is_told_when_to_come_again_and_what_was_there_already() -> None:
    tale = OrderTale("x", "y").is_told_to_wait("x").wait(2).loses_the_answer("x").starts("x")
    lines = drawn(tale.sends("y").ends())
    assert line_with(lines, "503 x come again after 2 s")
    assert line_with(lines, "200 x there already")
    assert line_with(lines, "too much to do")


def test_other_lines_and_other_words_are_no_orders() -> None:
    lines = drawn(OrderTale("x").said("A", "started listening").starts("x").ends())
    assert not any("started listening" in line for line in lines)


def test_who_sends_nothing_stands_before_the_service_all_the_same() -> None:
    lines = drawn(OrderTale("x").ends(1))
    assert "queue-service" in lines[1]
    assert not any("the broker" in line for line in lines)
