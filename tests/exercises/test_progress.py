"""What is remembered of a learner, and the rules by which hints and solutions open."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from labs.errors import BadInput, NotOpenYet
from labs.judge.progress import Progress, Standing, learner_name
from labs.judge.verdicts import Evidence, Outcome, Report, Verdict

SLUG = "acknowledgements"


def report(outcome: Outcome, misconception: int | None = None, slug: str = SLUG) -> Report:
    evidence = Evidence("zoë 7", (3, 4), ("0.1 s  A got it", "0.2 s  A was killed"))
    verdict = Verdict(
        "done", "Every message is done.", outcome, "kill", "zoë 7 never was", evidence
    )
    return Report(slug, "ann-1", (verdict,), misconception)


KEPT, UNKNOWN = report(Outcome.KEPT), report(Outcome.UNKNOWN)
BROKEN = report(Outcome.BROKEN, 1)


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    return Progress("ann", tmp_path / "home" / "progress.json")


def test_before_the_first_attempt_all_is_zero(progress: Progress) -> None:
    assert progress.standing(SLUG) == Standing()
    assert progress.standings() == {}


def test_attempts_and_passes_are_counted_and_survive_the_process(progress: Progress) -> None:
    for each in (BROKEN, KEPT, UNKNOWN):
        progress.record(each)
    standing = replace(progress).standing(SLUG)
    assert (standing.attempts, standing.passes, standing.outcome) == (3, 1, Outcome.UNKNOWN)
    assert standing.passed


def test_beliefs_are_kept_once_each_in_the_order_of_their_first_time(progress: Progress) -> None:
    for number in (3, None, 1, 3):
        progress.record(report(Outcome.BROKEN, number))
    standing = progress.standing(SLUG)
    assert standing.misconceptions == (3, 1)
    assert standing.misconception == 3


def test_the_evidence_of_the_last_attempt_is_kept(progress: Progress) -> None:
    seen = ("zoë 7 never was", "0.1 s  A got it", "0.2 s  A was killed")
    assert progress.record(BROKEN).seen == seen
    assert progress.standing(SLUG).seen == seen
    assert progress.record(KEPT).seen == ()


def test_hint_1_comes_with_the_first_attempt_that_fails(progress: Progress) -> None:
    assert progress.record(BROKEN).hints == (1,)
    assert progress.record(BROKEN).hints == (1,), "the second comes by being asked for"


def test_what_could_not_be_judged_brings_no_hint_unless_it_is_asked_for(progress: Progress) -> None:
    assert progress.record(KEPT).hints == ()
    assert progress.record(UNKNOWN).hints == ()
    assert progress.open_hint(SLUG).hints == (2,)


def test_before_any_attempt_there_is_no_hint(progress: Progress) -> None:
    with pytest.raises(NotOpenYet, match="first hint for acknowledgements") as error:
        progress.open_hint(SLUG)
    assert "labs check acknowledgements -- " in error.value.remedy
    assert progress.standing(SLUG) == Standing()


def test_each_further_hint_opens_after_another_attempt_and_once(progress: Progress) -> None:
    levels = []
    for _ in range(6):
        progress.record(BROKEN)
        progress.open_hint(SLUG)
        levels.append(len(progress.open_hint(SLUG).hints))
    assert levels == [1, 2, 3, 4, 4, 4]


def test_several_attempts_open_one_hint_not_several(progress: Progress) -> None:
    for _ in range(3):
        progress.record(BROKEN)
    assert progress.standing(SLUG).hints == (1,)
    assert progress.open_hint(SLUG).hints == (1, 3)
    assert progress.open_hint(SLUG).hints == (1, 3)


def test_the_solution_opens_after_a_pass_and_stays_open(progress: Progress) -> None:
    progress.record(BROKEN)
    with pytest.raises(NotOpenYet, match="opens when you have passed it"):
        progress.require_pass(SLUG)
    progress.record(KEPT)
    progress.record(BROKEN)
    progress.require_pass(SLUG)


def test_an_exercise_and_a_learner_know_nothing_of_the_others(progress: Progress) -> None:
    progress.record(KEPT)
    bob = replace(progress, learner="bob")
    bob.record(BROKEN)
    with pytest.raises(NotOpenYet):
        bob.require_pass(SLUG)
    with pytest.raises(NotOpenYet):
        progress.require_pass("poison")
    assert progress.standing(SLUG).attempts == bob.standing(SLUG).attempts == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"version": 1, "learners": {"ann": {"acknowl',
        "[]",
        '{"version": 1}',
        '{"version": 1, "learners": {"ann": {"poison": {"attempts": "many"}}}}',
        '{"version": 1, "learners": {"ann": {"poison": {"tries": 1}}}}',
        '{"version": 1, "learners": {"ann": 3}}',
        b"\xff\xfe".decode("latin-1"),
    ],
)
def test_a_damaged_file_is_told_and_set_aside_and_counting_goes_on(
    progress: Progress, text: str
) -> None:
    progress.path.parent.mkdir()
    progress.path.write_text(text, encoding="latin-1")
    told: list[str] = []
    telling = replace(progress, tell=told.append)
    assert telling.record(BROKEN).attempts == 1
    assert telling.record(BROKEN).attempts == 2
    (sentence,) = told
    assert "progress.json was damaged" in sentence
    assert "progress.json.damaged-1" in sentence
    aside = progress.path.with_name("progress.json.damaged-1")
    assert aside.read_text(encoding="latin-1") == text


def test_a_second_damaged_file_does_not_replace_the_first(progress: Progress) -> None:
    progress.path.parent.mkdir()
    for text in ("first", "second"):
        progress.path.write_text(text)
        progress.standing(SLUG)
    kept = sorted(path.read_text() for path in progress.path.parent.glob("*.damaged-*"))
    assert kept == ["first", "second"]


def test_a_file_of_a_newer_kit_is_left_alone(progress: Progress) -> None:
    progress.path.parent.mkdir()
    newer = json.dumps({"version": 2, "learners": {}})
    progress.path.write_text(newer)
    with pytest.raises(BadInput, match="newer version"):
        progress.record(BROKEN)
    assert progress.path.read_text() == newer


def test_checks_side_by_side_lose_no_attempt(progress: Progress) -> None:
    code = (
        "from tests.exercises.test_progress import BROKEN, Progress, Path; import sys\n"
        "progress = Progress(sys.argv[2], Path(sys.argv[1]))\n"
        "for _ in range(25): progress.record(BROKEN)"
    )
    together = [
        subprocess.Popen([sys.executable, "-c", code, str(progress.path), name])
        for name in ("ann", "ann", "bob")
    ]
    assert [process.wait(60) for process in together] == [0, 0, 0]
    assert progress.standing(SLUG).attempts == 50
    assert replace(progress, learner="bob").standing(SLUG).attempts == 25


def test_only_the_owner_can_read_the_file(progress: Progress) -> None:
    progress.record(BROKEN)
    assert progress.path.stat().st_mode & 0o777 == 0o600


def test_a_name_is_given_or_in_the_environment_or_the_login(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABS_NAME", " Ann  Lee ")
    assert learner_name("zoë") == "zoë"
    assert learner_name() == "Ann Lee"
    monkeypatch.setenv("LABS_NAME", "")
    monkeypatch.setenv("LOGNAME", "ann")
    assert learner_name() == "ann"
