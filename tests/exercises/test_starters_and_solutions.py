"""Each exercise's own programs, judged on a real broker as a learner's are.

Every starter fails, and for the belief that it is to show; every solution passes. So does
the lab's own worker, with the right flag.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labs.broker.address import Address
from labs.broker.state import ROOT, FoundBroker, Source
from labs.cli.dev import faults_of_run
from labs.judge.catalogue import SLUGS, exercise
from labs.judge.scenarios import SCENARIOS

Faults = Callable[[str], list[str]]
TWO = 2


@pytest.fixture
def found(broker: Address) -> FoundBroker:
    """The broker on which the trials run."""
    return FoundBroker(broker, Source.NATIVE)


@pytest.fixture(scope="module")
def faults_of(broker: Address, request: pytest.FixtureRequest) -> Iterator[Faults]:
    """What is wrong with an exercise's programs: judging is mostly waiting, so two wait at once."""
    found = FoundBroker(broker, Source.NATIVE)
    parameters = [getattr(item, "callspec", None) for item in request.session.items]
    asked = {one.params["slug"] for one in parameters if one and "slug" in one.params}

    def judge(slug: str) -> list[str]:
        return list(faults_of_run(exercise(slug), found))

    with ThreadPoolExecutor(TWO) as pool:
        faults = {slug: pool.submit(judge, slug) for slug in SLUGS if slug in asked}
        yield lambda slug: faults[slug].result()
        for future in faults.values():
            future.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("slug", SLUGS)
def test_the_starter_fails_for_its_belief_and_the_solution_passes(
    slug: str, faults_of: Faults
) -> None:
    assert faults_of(slug) == []


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


def check_the_labs_own_worker(broker: Address, home: Path, *flags: str) -> tuple[int, Any]:
    """Type `labs check acknowledgements -- ./qprocessor.py` and flags; exit code and JSON."""
    here = Path(sys.executable).parent  # where a person has activated .venv
    environment = {
        **os.environ,
        "AMQP_URL": broker.url,
        "LABS_HOME": str(home),
        "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
    }
    words = ["check", "acknowledgements", "--json", "--", "./qprocessor.py", *flags]
    ran = subprocess.run(
        [sys.executable, "-m", "labs", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def test_the_labs_own_worker_passes_when_it_acknowledges(broker: Address, tmp_path: Path) -> None:
    code, report = check_the_labs_own_worker(broker, tmp_path, "--acknowledge")
    assert (code, report["outcome"]) == (0, "kept"), report


def test_the_labs_own_worker_without_the_flag_shows_the_belief_in_auto_ack(
    broker: Address, tmp_path: Path
) -> None:
    code, report = check_the_labs_own_worker(broker, tmp_path)
    assert (code, report["outcome"]) == (1, "broken"), report
    assert report["misconception"]["number"] == 1
    assert report["hint"]["text"] == exercise("acknowledgements").hints(1)[0]
