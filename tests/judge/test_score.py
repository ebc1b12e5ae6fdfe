"""The judge's own score: what is counted as caught, named, a false alarm, a flip."""

from __future__ import annotations

from pathlib import Path

from benchmarks.judge_score import Told, score
from labs.judge.verdicts import Outcome
from tests.programs.collection import Sample

KEPT: Told = (Outcome.KEPT, None)
UNKNOWN: Told = (Outcome.UNKNOWN, None)
RIGHT = Sample("poison", Path("right_one.py"), is_right=True)
WRONG = Sample("poison", Path("wrong_28_one.py"), is_right=False, misconception=28)


def broken(misconception: int | None = 28) -> Told:
    return Outcome.BROKEN, misconception


def test_a_judge_that_is_always_right_has_a_perfect_score() -> None:
    total = score("all", [(RIGHT, [KEPT, KEPT]), (WRONG, [broken(), broken()])])

    assert (total.caught, total.named, total.right, total.runs) == (1, 1, 1, 4)
    assert total.is_perfect


def test_a_wrong_program_is_caught_only_if_every_run_caught_it() -> None:
    total = score("all", [(WRONG, [broken(), KEPT, broken()])])

    assert (total.wrong, total.caught, total.named) == (1, 0, 0)
    assert total.flips == 1


def test_another_belief_is_not_named_rightly() -> None:
    total = score("all", [(WRONG, [broken(5), broken(5)])])

    assert (total.caught, total.named, total.flips) == (1, 0, 0)
    assert not total.is_perfect


def test_one_accusation_of_a_right_program_is_a_false_alarm() -> None:
    total = score("all", [(RIGHT, [KEPT, broken(None), KEPT, UNKNOWN])])

    assert (total.false_alarms, total.not_sure, total.flips) == (1, 1, 2)
    assert not total.is_perfect
