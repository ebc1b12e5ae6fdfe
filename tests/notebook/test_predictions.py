"""Predictions: kept in a file, shown beside the outcome, never scolding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labs.notebook.predictions import Prediction, Predictions, asked, compared, same, written

HOW_MANY = Prediction("Of nine, how many are done?", 9)


def test_a_prediction_survives_the_kernel(tmp_path: Path) -> None:
    path = tmp_path / ".labs" / "predictions.json"
    Predictions(path, "03").record("lost", HOW_MANY)
    Predictions(path, "04").record("lost", Prediction("another", "x"))
    assert Predictions(path, "03").find("lost") == HOW_MANY
    assert Predictions(path, "03").find("other") is None


def test_a_later_prediction_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    predictions = Predictions(tmp_path / "p.json", "03")
    predictions.record("lost", HOW_MANY)
    predictions.record("lost", Prediction("Of nine?", 6))
    assert predictions.find("lost") == Prediction("Of nine?", 6)


def test_a_file_that_is_damaged_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"03": {"lo')
    predictions = Predictions(path, "03")
    assert predictions.find("lost") is None
    predictions.record("lost", HOW_MANY)
    assert predictions.find("lost") == HOW_MANY


def test_the_question_is_shown_with_the_answer() -> None:
    assert asked(HOW_MANY).text == "Of nine, how many are done?\nYour prediction: 9"


def test_a_right_prediction_is_said_to_be_right_without_the_surprise() -> None:
    assert compared(HOW_MANY, 9, "Most say so.").text.splitlines() == [
        "Of nine, how many are done?",
        "prediction 9",
        "outcome    9",
        "You predicted it.",
    ]


def test_a_wrong_prediction_is_shown_beside_the_outcome_with_the_surprise() -> None:
    text = compared(HOW_MANY, 6, "Most people say nine.").text
    assert text.endswith("prediction 9\noutcome    6\nNot as predicted. Most people say nine.")


def test_no_prediction_is_said_and_the_outcome_still_shown() -> None:
    text = compared(None, 6).text
    assert "outcome    6" in text
    assert "You made no prediction" in text


def test_what_a_learner_writes_is_text_on_the_page() -> None:
    piece = compared(Prediction("<script>?", "<b>"), "<i>")
    assert "<script>" not in piece.html
    assert "<b>" not in piece.html


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (6, 6.0),
        ("6", 6),
        (" Yes ", True),
        ("no", False),
        (["a", "B"], ("A", "b")),
        ("3 each", "3 EACH"),
    ],
)
def test_the_same_is_the_same_however_it_is_written(answer: Any, outcome: Any) -> None:
    assert same(answer, outcome)


@pytest.mark.parametrize(
    ("answer", "outcome"), [(5, 6), (1, True), ("six", 6), (["a"], ["b"]), ({"alice": 1}, {})]
)
def test_different_is_different(answer: Any, outcome: Any) -> None:
    assert not same(answer, outcome)


def test_values_are_written_as_people_write_them() -> None:
    assert written({"alice": 3, "bob": 2}) == "alice: 3, bob: 2"
    assert written([]) == "none"
    assert written([True, "x"]) == "yes, x"
