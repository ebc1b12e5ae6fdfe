"""`labs draw`: a file that --journal or --record made, drawn in the terminal or as SVG."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from labs.cli import labs
from labs.journal import write_journals
from tests.pictures.conversation import Conversation, killed_at_work


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with two runs."""
    path = tmp_path / "run.jsonl"
    frozen = Conversation(trial="frozen").starts("A").connects("A")
    write_journals(path, [killed_at_work().events, frozen.events])
    return path


def draw(*words: object) -> Result:
    return CliRunner().invoke(labs, ["draw", *map(str, words)])


def test_all_runs_of_a_file_are_drawn_in_the_terminal(file: Path) -> None:
    done = draw(file)
    assert done.exit_code == 0
    assert done.output.count("copy B") == 2
    assert "acknowledgements: killed" in done.output
    assert "acknowledgements: frozen" in done.output


def test_one_run_and_one_message_can_be_chosen(file: Path) -> None:
    done = draw(file, "--trial", "killed", "--message", "job-03")
    assert "frozen" not in done.output
    assert len([line for line in done.output.splitlines() if line.startswith("»")]) == 5


def test_an_svg_file_is_written(file: Path, tmp_path: Path) -> None:
    svg = tmp_path / "picture.svg"
    assert "Written:" in draw(file, "--trial", "killed", "--svg", svg).output
    assert svg.read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trial", "nonsense"], "There is killed, frozen."),
        (["--trial", "killed", "--message", "nonsense"], "No message 'nonsense'"),
        (["--svg", "x.svg"], "holds 2 runs"),
    ],
)
def test_what_is_not_in_the_file_is_said(file: Path, words: list[str], said: str) -> None:
    done = draw(file, *words)
    assert done.exit_code == 2
    assert said in done.output


def test_a_file_that_is_no_journal_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("no journal\nat all\n")
    for name in ("poem.txt", "missing.txt"):
        done = draw(tmp_path / name)
        assert done.exit_code == 2
        assert "--journal" in done.output
