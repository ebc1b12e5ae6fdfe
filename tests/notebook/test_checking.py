"""`check` in a notebook: the same attempt as in a terminal, shown as a page."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from labs.errors import BadInput
from labs.judge.catalogue import exercise
from labs.judge.progress import Progress, learner_name
from labs.judge.verdicts import Outcome
from labs.notebook import Lab, check


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A learner's folder, with a worker that fails and one that passes."""
    found = exercise("hello-consumer")
    (tmp_path / "my worker.py").write_text(found.starter, encoding="utf-8")
    (tmp_path / "good.py").write_text(found.solution, encoding="utf-8")
    return tmp_path


def test_a_broken_promise_is_shown_with_evidence_picture_belief_and_hint(
    lab: Lab, folder: Path
) -> None:
    assert lab
    checked = check("hello-consumer", "python 'my worker.py'", folder=folder)
    assert checked.report.outcome is Outcome.BROKEN
    assert not checked.passed
    assert checked.picture is not None
    html = checked._repr_mimebundle_()["text/html"]
    ElementTree.fromstring(f"<div>{html}</div>")  # noqa: S314 - our own; and it is well formed
    for shown in ("✗ broken", "✓ kept", "Promised:", "Seen:", "<svg", "Hint 1 of 4:"):
        assert shown in html
    words = str(checked)
    assert checked.picture.text in words
    assert "labs hint hello-consumer" in words


def test_it_counts_as_an_attempt_and_a_pass_opens_the_solution(lab: Lab, folder: Path) -> None:
    assert lab
    check("hello-consumer", "python 'my worker.py'", folder=folder, name="Ada")
    checked = check("hello-consumer", ["python", "good.py"], folder=folder, name="Ada", seed="7")
    assert checked.passed, str(checked)
    assert checked.picture is None
    assert checked.report.seed == "7"
    assert "labs solution hello-consumer" in str(checked)
    standing = Progress("Ada").standing("hello-consumer")
    assert (standing.attempts, standing.passes) == (2, 1)
    assert (
        learner_name() == "Ada" or not Progress(learner_name()).standing("hello-consumer").attempts
    )


def test_the_whole_of_a_trial_can_be_drawn(lab: Lab, folder: Path) -> None:
    assert lab
    checked = check("hello-consumer", "python good.py", folder=folder)
    words = checked.whole().text
    for said in ("copy A", "connect", "deliver", "done", "ack"):
        assert said in words
    with pytest.raises(BadInput, match="no trial 'nonsense'"):
        checked.whole("nonsense")


@pytest.mark.parametrize(
    ("slug", "command", "said"),
    [
        ("acknowledgement", "python x.py", "no exercise 'acknowledgement'"),
        ("acknowledgements", "", "Which program"),
        ("acknowledgements", "python 'x.py", "no command"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_started(
    slug: str, command: str, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        check(slug, command)
