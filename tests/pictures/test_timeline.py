"""The timeline: from spans to an SVG that says everything twice, in shapes and in words."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from labs.pictures.bars import Bar, fold
from labs.pictures.spans import Lane, Mark, Moment, Outcome, Span, Timeline, shortened
from labs.pictures.timeline import draw_timeline

SVG = "{http://www.w3.org/2000/svg}"

A_RUN = Timeline(
    (
        Lane(
            "alice",
            (
                Span("one", 0.0, 1.0, acknowledged=True),
                Span("four", 1.0, 1.5, Outcome.CUT_OFF),
            ),
            (Moment(Mark.KILLED, 1.5),),
        ),
        Lane(
            "bob",
            (
                Span("two", 0.0, 0.5, acknowledged=True),
                Span("three", 0.5, 0.5, Outcome.LOST),
                Span("four", 1.6, 2.6, redelivered=True, acknowledged=True),
            ),
            (Moment(Mark.STOPPED, 3.0),),
        ),
    ),
    length_s=3.0,
)


def texts(svg: str) -> list[str]:
    """All words that the picture itself shows, tool tips and alternative aside."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314


def test_the_run_is_told_in_words_worker_by_worker() -> None:
    assert A_RUN.in_words() == (
        "Timeline of 3.0 seconds.\n"
        "alice: done 1 (one); cut off 1 (four); 1 acknowledged; killed at 1.5 s.\n"
        "bob: done 2 (two, four); lost 1 (three); of these redelivered 1 (four); "
        "2 acknowledged; stopped at 3.0 s."
    )


def test_a_long_list_of_bodies_names_the_first_and_counts_the_rest() -> None:
    lane = Lane("alice", tuple(Span(str(n), n, n + 1) for n in range(200)))
    words = Timeline((lane,), 200).in_words()
    assert "done 200 (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 188 more)" in words


def test_the_picture_shows_workers_bodies_and_what_befell_them() -> None:
    shown = texts(draw_timeline(A_RUN).svg)
    for word in ("alice", "bob", "one", "four", "killed", "lost three", "again", "stopped"):
        assert word in shown


def test_the_legend_names_only_what_occurs() -> None:
    everything = texts(draw_timeline(A_RUN).svg)
    quiet = texts(draw_timeline(Timeline((Lane("alice", (Span("x", 0, 1),)),), 1)).svg)
    assert "cut off" in everything
    assert "cut off" not in quiet
    assert "done" in quiet


def test_the_words_are_the_pictures_text_alternative() -> None:
    picture = draw_timeline(A_RUN)
    root = ElementTree.fromstring(picture.svg)  # noqa: S314
    assert root.get("role") == "img"
    assert picture.text == A_RUN.in_words()
    assert root.get("aria-label") == picture.text.replace("\n", " ")


def test_the_same_run_gives_the_same_bytes() -> None:
    assert draw_timeline(A_RUN).svg == draw_timeline(A_RUN).svg


@pytest.mark.parametrize("body", ["<b>&\"'", "a\nb\tc", "\U0001f407" * 50, "", "]]>", "ﷺ"])
def test_any_body_makes_a_well_formed_picture(body: str) -> None:
    timeline = Timeline((Lane("<alice>", (Span(body, 0, 1),)),), 1)
    ElementTree.fromstring(draw_timeline(timeline).svg)  # noqa: S314


def test_characters_that_xml_forbids_are_replaced() -> None:
    timeline = Timeline((Lane("alice", (Span("a\x00b\x1bc\ufffed", 0, 1),)),), 1)
    ElementTree.fromstring(draw_timeline(timeline).svg)  # noqa: S314


def test_no_worker_and_no_message_make_a_picture_too() -> None:
    assert draw_timeline(Timeline((), 0.0)).text == "Timeline: no worker, no message."
    assert "no message" in texts(draw_timeline(Timeline((Lane("alice"),), 0.0)).svg)


def test_two_hundred_messages_keep_their_bars_and_hide_labels_that_have_no_room() -> None:
    spans = tuple(Span(f"message {n}", n, n + 1) for n in range(200))
    svg = draw_timeline(Timeline((Lane("alice", spans),), 200)).svg
    assert svg.count("<title>") == 200
    assert not [text for text in texts(svg) if text.startswith("message")]


def test_ten_thousand_messages_are_folded_into_few_bars() -> None:
    spans = tuple(
        Span(str(n), n, n, Outcome.LOST) if n % 3 == 2 else Span(str(n), n, n + 1)
        for n in range(10_000)
    )
    picture = draw_timeline(Timeline((Lane("alice", spans),), 10_000))
    assert picture.svg.count("<title>") < 400
    assert "6667 done, 3333 lost" in texts(picture.svg)


def test_only_narrow_neighbours_of_the_same_kind_are_folded() -> None:
    done, lost = Span("x", 0, 1), Span("y", 0, 1, Outcome.LOST)
    bars = [Bar(0, 2, done), Bar(2, 2, done), Bar(4, 2, lost), Bar(6, 2, done), Bar(30, 2, done)]
    folded = fold(bars)
    assert [(bar.x, bar.end, bar.count) for bar in folded] == [
        (0, 4, 2),
        (4, 6, 1),
        (6, 8, 1),
        (30, 32, 1),
    ]
    assert len(fold([Bar(0, 9, done), Bar(9, 9, done)])) == 2


def test_a_shortened_text_is_one_line_with_an_ellipsis() -> None:
    assert shortened("one two", 10) == "one two"
    assert shortened("one\n two three", 8) == "one two…"
