"""Each exercise's own programs, judged on a real broker as a learner's are.

Every starter fails, and for the belief that it is to show; every solution passes. So does
the lab's own worker, with the right flag.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import qprocessor
from labs.broker.address import Address
from labs.broker.state import FoundBroker, Source
from labs.cli.dev import faults_of_run
from labs.judge import engine
from labs.judge.catalogue import SLUGS, exercise
from labs.judge.report import in_words
from labs.judge.scenarios import SCENARIOS
from labs.judge.verdicts import Outcome, Report


@pytest.fixture
def found(broker: Address) -> FoundBroker:
    """The broker on which the trials run."""
    return FoundBroker(broker, Source.NATIVE)


@pytest.mark.slow
@pytest.mark.parametrize("slug", SLUGS)
def test_the_starter_fails_for_its_belief_and_the_solution_passes(
    slug: str, found: FoundBroker
) -> None:
    assert list(faults_of_run(exercise(slug), found)) == []


def test_an_exercise_whose_starter_passes_and_whose_solution_fails_is_refused(
    found: FoundBroker, tmp_path: Path
) -> None:
    whole = exercise("hello-producer")
    shutil.copy(whole.folder / "solution.py", tmp_path / "starter.py")
    shutil.copy(whole.folder / "starter.py", tmp_path / "solution.py")
    faults = list(faults_of_run(replace(whole, folder=tmp_path), found))
    assert "starter.py must break a promise. It did not: kept." in faults
    assert any("solution.py must keep all promises" in fault for fault in faults)


def test_an_exercise_whose_starter_shows_another_belief_is_refused(found: FoundBroker) -> None:
    faults = list(faults_of_run(replace(exercise("hello-producer"), shows=12), found))
    assert faults == ["starter.py shows the belief 16, not 12."]


@pytest.mark.parametrize("slug", SLUGS)
def test_what_the_catalogue_says_of_a_program_is_what_is_run(slug: str) -> None:
    scenario = SCENARIOS[slug]
    assert exercise(slug).program == scenario.program
    assert {len(plan.copies) for plan in scenario.plans} == {exercise(slug).copies}


def judged_worker(found: FoundBroker, *flags: str) -> Report:
    command = [sys.executable, str(Path(qprocessor.__file__)), *flags]
    return engine.check("acknowledgements", command, broker=found, seed="lab").report


def test_the_labs_own_worker_passes_when_it_acknowledges(found: FoundBroker) -> None:
    report = judged_worker(found, "--acknowledge")
    assert report.outcome is Outcome.KEPT, in_words(report)


def test_the_labs_own_worker_without_the_flag_shows_the_belief_in_auto_ack(
    found: FoundBroker,
) -> None:
    report = judged_worker(found)
    assert report.outcome is Outcome.BROKEN, in_words(report)
    assert report.misconception == 1
