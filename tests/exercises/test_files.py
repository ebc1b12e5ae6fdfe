"""The exercises' files: complete, true to what is judged, and refused when something is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from labs.cli import COMMANDS
from labs.cli.dev import SAMPLES, faults_of_files
from labs.errors import BadInput
from labs.judge.catalogue import FOLDER, SLUGS, exercise, exercises, read_exercise
from labs.judge.misconceptions import MISCONCEPTIONS
from labs.judge.promises import PROMISES

SHELL = re.compile(r"^```text\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_folder_is_an_exercise_and_every_exercise_has_a_folder() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(SLUGS)
    assert [found.slug for found in exercises()] == list(SLUGS)


def test_the_exercises_are_those_that_can_be_judged_and_in_the_same_order() -> None:
    assert list(PROMISES) == list(SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_an_exercise_is_complete(slug: str) -> None:
    assert list(faults_of_files(FOLDER / slug, SAMPLES / slug)) == []


@pytest.mark.parametrize("slug", SLUGS)
def test_the_brief_promises_what_is_judged_and_nothing_else(slug: str) -> None:
    section = exercise(slug).brief.partition("## What you promise\n\n")[2].partition("\n\n")[0]
    promised = [line.removeprefix("- ") for line in section.splitlines()]
    judged = [promise.sentence for promise in PROMISES[slug] if promise.id != "contract"]
    assert [line[: len(s)] for line, s in zip(promised, judged, strict=True)] == judged


@pytest.mark.parametrize("slug", SLUGS)
def test_every_command_that_a_brief_tells_to_type_exists(slug: str) -> None:
    brief = exercise(slug).brief
    told = "\n".join(SHELL.findall(brief)) + " ".join(re.findall(r"`(labs [^`]*)`", brief))
    words = re.findall(r"\blabs ([a-z][a-z-]*)", told)
    assert words, "a brief says how to go on"
    assert set(words) <= set(COMMANDS)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_program_reads_the_environment_and_the_brief_names_what_it_reads(slug: str) -> None:
    found = exercise(slug)
    for text in (found.starter, found.solution):
        for name in re.findall(r'environ\["(\w+)"\]', text):
            assert f"`{name}`" in found.brief


@pytest.mark.parametrize("slug", SLUGS)
def test_there_are_four_hints_for_every_belief_that_a_learner_may_hold(slug: str) -> None:
    found = exercise(slug)
    for belief in (None, *MISCONCEPTIONS, 999):
        hints = found.hints(belief)
        assert len(hints) == 4
        assert len({hint for hint in hints if hint}) == 4
    assert found.hints(found.shows) != found.hints(None)
    assert found.hints(999) == found.hints(None), "a belief that nobody knows can't be told"


@pytest.mark.parametrize("slug", SLUGS)
def test_a_program_that_breaks_the_contract_itself_gets_hints_for_that(slug: str) -> None:
    found = exercise(slug)
    kind = found.program
    contract = found.hints(None, "contract")
    assert len(set(contract)) == 4
    assert contract != found.hints(None, "done")
    assert found.hints(found.shows, "contract") == found.hints(found.shows), "a belief says more"
    alike = {exercise(slug).hints(None, "contract") for slug in SLUGS if kind_of(slug) == kind}
    assert alike == {contract}, "they are the same for all programs of a kind"
    assert all(PROMISES[slug][0].id == "contract" for slug in SLUGS)


def kind_of(slug: str) -> str:
    return exercise(slug).program


@pytest.mark.parametrize("name", ["exercise.toml", "brief.md", "starter.py", "solution.py"])
def test_an_exercise_without_one_of_its_files_is_refused(whole: Path, name: str) -> None:
    (whole / name).unlink()
    assert f"There is no {name}." in faults(whole)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("exercise.toml", "question", "riddle", "can't be read: KeyError('question')"),
        ("exercise.toml", "[hints]", "[hints", "can't be read: TOMLDecodeError"),
        ("exercise.toml", "shows = 1", "shows = 99", "the belief 99"),
        ("exercise.toml", '"worker"', '"robot"', "not 'robot'"),
        ("brief.md", "# Acknowledgements", "# Something", "does not begin with its title"),
        ("brief.md", "labs check", "labs chekc", "how to check the program"),
        ("solution.md", "## Another", "Another", "has 1 sections"),
        ("starter.py", "import os", "import os os", "starter.py is no Python"),
    ],
)
def test_an_exercise_that_is_not_as_it_must_be_is_refused(
    whole: Path, name: str, old: str, new: str, said: str
) -> None:
    text = (whole / name).read_text()
    assert old in text
    (whole / name).write_text(text.replace(old, new))
    assert said in faults(whole)


def test_empty_and_repeated_hints_are_refused(whole: Path) -> None:
    told = (whole / "exercise.toml").read_text()
    (whole / "exercise.toml").write_text(re.sub(r'^api = ".*"$', 'api = ""', told, flags=re.M))
    assert "repeat, or are empty" in faults(whole)


def test_a_starter_that_is_the_solution_is_refused(whole: Path) -> None:
    shutil.copy(whole / "solution.py", whole / "starter.py")
    assert "are the same" in faults(whole)


def test_an_exercise_with_two_wrong_programs_is_refused(whole: Path, tmp_path: Path) -> None:
    for name in ("wrong_a.py", "wrong_b.py", "right_c.py"):
        (tmp_path / name).touch()
    assert any("there are 2" in fault for fault in faults_of_files(whole, tmp_path))


def test_an_exercise_may_have_hints_of_its_own_for_a_belief(whole: Path) -> None:
    ladder = '\n[misconceptions.3]\nquestion = "q"\nevidence = "e"\napi = "a"\nshape = "s"\n'
    with (whole / "exercise.toml").open("a") as file:
        file.write(ladder)
    assert read_exercise(whole).hints(3) == ("q", "e", "a", "s")


def test_a_name_that_is_none_is_told_with_the_names_that_are_near() -> None:
    with pytest.raises(BadInput, match="no exercise 'acknowledgment'") as error:
        exercise("acknowledgment")
    assert "Did you mean acknowledgements?" in error.value.remedy
    with pytest.raises(BadInput) as error:
        exercise("../exercises/poison")
    assert "labs exercises" in error.value.remedy


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A copy of a complete exercise."""
    return shutil.copytree(FOLDER / "acknowledgements", tmp_path / "acknowledgements")


def faults(folder: Path) -> str:
    return "\n".join(faults_of_files(folder, SAMPLES / folder.name))
