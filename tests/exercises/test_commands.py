"""The commands for exercises, as a learner types them; no broker is needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from labs.cli import labs
from labs.errors import BadInput, NotOpenYet
from labs.judge.catalogue import SLUGS, exercise
from labs.judge.progress import Progress
from labs.judge.verdicts import Outcome
from tests.exercises.test_progress import KEPT, report

pytestmark = pytest.mark.usefixtures("labs_home")

BROKEN = report(Outcome.BROKEN, 3)


@pytest.fixture(autouse=True)
def ann(monkeypatch: pytest.MonkeyPatch, labs_home: Path) -> Progress:
    """The learner at the keyboard."""
    monkeypatch.setenv("LABS_NAME", "ann")
    monkeypatch.setenv("COLUMNS", "200")
    return Progress("ann", labs_home / "progress.json")


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(labs, arguments)
    assert result.exit_code == code, result.output
    return result


# --- labs start ----------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_start_gives_brief_and_starter_and_says_what_to_type(
    slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run("start", slug).output
    name = slug.replace("-", "_")
    assert (tmp_path / f"{name}.py").read_text() == exercise(slug).starter
    assert (tmp_path / f"{name}.md").read_text() == exercise(slug).brief
    assert f"  labs check {slug} -- python {name}.py" in said.splitlines()


def test_start_makes_the_folder_that_it_is_given(tmp_path: Path) -> None:
    folder = tmp_path / "my programs" / "week 1"
    said = run("start", "poison", str(folder)).output
    assert (folder / "poison.py").is_file()
    assert f"labs check poison -- python '{folder / 'poison.py'}'" in said


@pytest.mark.parametrize("name", ["poison.py", "poison.md"])
def test_start_never_overwrites_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    said = run("start", "poison", str(tmp_path), code=BadInput.exit_code).output
    assert f"{tmp_path / name} is there already" in said
    assert [path.name for path in tmp_path.glob("poison*")] == [name], "all or nothing"
    assert (tmp_path / name).read_text() == "mine"


def test_a_name_that_is_none_is_told_with_the_near_ones(tmp_path: Path) -> None:
    said = run("start", "heartbeat", str(tmp_path), code=BadInput.exit_code).output
    assert "Did you mean heartbeats?" in said


# --- labs hint -----------------------------------------------------------------------------


def test_before_an_attempt_there_is_no_hint() -> None:
    assert (
        "comes with your first attempt" in run("hint", "poison", code=NotOpenYet.exit_code).output
    )


def test_hints_open_one_by_one_each_after_another_attempt(ann: Progress) -> None:
    hints = exercise("acknowledgements").hints(3)
    ann.record(BROKEN)
    said = run("hint", "acknowledgements").output
    assert f"Hint 1 of 4: {hints[0]}" in said
    assert "opens after another `labs check acknowledgements`" in said
    for level in (2, 3, 4):
        ann.record(BROKEN)
        said = run("hint", "acknowledgements").output
        assert f"Hint {level} of 4: {hints[level - 1]}" in said
        assert f"Hint {level + 1}" not in said
    assert "all hints that there are" in said


def test_the_second_hint_shows_the_evidence_of_the_last_run(ann: Progress) -> None:
    for _ in range(2):
        ann.record(BROKEN)
    said = run("hint", "acknowledgements").output
    assert "  In your last run:\n    zoë 7 never was\n    0.1 s  A got it\n" in said


def test_hints_follow_the_belief_that_the_last_attempt_showed(ann: Progress) -> None:
    ann.record(BROKEN)
    ann.record(report(Outcome.BROKEN, 1))
    said = run("hint", "acknowledgements").output
    assert exercise("acknowledgements").hints(1)[0] in said
    assert exercise("acknowledgements").hints(3)[0] not in said


def test_a_program_that_did_not_get_as_far_gets_hints_for_that(ann: Progress) -> None:
    (verdict,) = BROKEN.verdicts
    early = replace(BROKEN, verdicts=(replace(verdict, promise="contract"),), misconception=None)
    ann.record(early)
    said = run("hint", "acknowledgements").output
    assert "Hint 1 of 4: Start the program yourself." in said


def test_hints_for_a_script(ann: Progress) -> None:
    ann.record(BROKEN)
    (hint,) = json.loads(run("hint", "acknowledgements", "--json").output)
    text = exercise("acknowledgements").hints(3)[0]
    assert hint == {"level": 1, "of": 4, "text": text}


# --- labs solution -------------------------------------------------------------------------


def test_the_solution_is_closed_until_a_pass(ann: Progress) -> None:
    ann.record(BROKEN)
    said = run("solution", "acknowledgements", code=NotOpenYet.exit_code).output
    assert "opens when you have passed" in said
    assert "basic_ack" not in said


def test_the_solution_shows_the_program_why_and_two_other_designs(ann: Progress) -> None:
    ann.record(KEPT)
    said = run("solution", "acknowledgements").output
    assert exercise("acknowledgements").solution in said
    assert said.count("## Another: ") == 2
    run("solution", "acknowledgements", "--name", "bob", code=NotOpenYet.exit_code)


# --- labs exercises, labs progress ---------------------------------------------------------


def test_exercises_lists_all_and_says_what_is_next(ann: Progress) -> None:
    said = run("exercises").output
    assert [slug for slug in SLUGS if slug in said] == list(SLUGS)
    assert "Next: labs start hello-producer" in said
    ann.record(report(Outcome.KEPT, slug="hello-producer"))
    ann.record(report(Outcome.BROKEN, slug="hello-consumer"))
    lines = {line.split()[0]: line for line in run("exercises").output.splitlines() if line.split()}
    assert lines["hello-producer"].rstrip().endswith("passed")
    assert lines["hello-consumer"].rstrip().endswith("tried")
    assert lines["Next:"] == "Next: labs start hello-consumer"


def test_exercises_says_when_all_are_passed(ann: Progress) -> None:
    for slug in SLUGS:
        ann.record(report(Outcome.KEPT, slug=slug))
    assert "You have passed them all." in run("exercises").output


def test_exercises_for_a_script(ann: Progress) -> None:
    ann.record(KEPT)
    listed = json.loads(run("exercises", "--json").output)
    assert [each["exercise"] for each in listed] == list(SLUGS)
    assert [each["exercise"] for each in listed if each["passed"]] == ["acknowledgements"]


def test_progress_shows_attempts_passes_and_hints(ann: Progress) -> None:
    for each in (BROKEN, BROKEN, KEPT):
        ann.record(each)
    ann.open_hint("acknowledgements")
    said = run("progress").output
    (row,) = [line.split() for line in said.splitlines() if "acknowledgements" in line]
    assert row[1:6] == ["passed", "3", "2", "of", "4"]
    assert "an ack means that I have received the message" in said
    assert f"ann: 1 of {len(SLUGS)} passed." in said


def test_progress_for_a_script(ann: Progress) -> None:
    ann.record(BROKEN)
    told = json.loads(run("progress", "--json", "--name", "ann").output)
    assert told["learner"] == "ann"
    assert told["passed"] == []
    assert told["open"] == list(SLUGS)
    assert told["exercises"]["acknowledgements"] == {
        "passed": False,
        "attempts": 1,
        "passes": 0,
        "hints": 1,
        "outcome": "broken",
        "misconceptions": [3],
    }


def test_a_damaged_file_is_told_on_standard_error_and_the_command_goes_on(labs_home: Path) -> None:
    labs_home.mkdir()
    (labs_home / "progress.json").write_text("{")
    result = run("progress", "--json")
    assert "was damaged" in result.stderr
    assert json.loads(result.stdout)["passed"] == []


# --- Tab, and what else is common ----------------------------------------------------------


@pytest.mark.parametrize("name", ["start", "hint", "solution", "check", "watch"])
def test_tab_completes_the_names_of_exercises(name: str) -> None:
    completer = ShellComplete(labs, {}, "labs", "_LABS_COMPLETE")
    found = completer.get_completions([name], "hello-")
    assert [item.value for item in found] == ["hello-producer", "hello-consumer"]


def test_dev_check_looks_at_the_files_and_refuses_names_that_are_none() -> None:
    said = run("dev", "check", "--quick").output
    assert said.splitlines() == [f"{slug}: ok" for slug in SLUGS]
    assert run("dev", "check", "--quick", "poison").output == "poison: ok\n"
    run("dev", "check", "--quick", "nothing", code=BadInput.exit_code)
