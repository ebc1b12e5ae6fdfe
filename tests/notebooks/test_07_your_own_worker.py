"""Your own worker: judged three times, and each verdict leads to the next worker."""

from __future__ import annotations

from tests.notebooks.desk import Desk, Run, assert_clean

NAME = "07-your-own-worker"


def test_a_worker_gets_better_from_verdict_to_verdict(at_home: Desk) -> None:
    at_home.run_half_and_kill(NAME)
    with at_home.run(NAME) as run:
        assert_its_points(run)
        assert_clean(run, at_home)


def test_in_class_it_makes_the_same_points_without_an_administrators_rights(
    in_class: Desk,
) -> None:
    with in_class.run(NAME) as run:
        assert_its_points(run)
        assert_clean(run, in_class)


def assert_its_points(run: Run) -> None:
    """Lost with auto_ack; lost with the ack first; kept with the ack last. Each is named."""
    assert run.words("by-hand").startswith("done one\ndone two\ndone three")
    found = run.value("[[str(c.report.outcome), c.report.misconception] for c in (first, second)]")
    assert found == [["broken", 1], ["broken", 3]]
    assert run.value("every_message_done") is False
    assert run.value("str(third.report.outcome)") == "kept", run.words("check-third")
    seen = run.pictures("check-first")[0]
    assert "deliver" in seen
    assert "killed" in seen
    assert "ack" not in seen.replace("(auto-ack)", "").replace("acknowledgements", "")
    assert "Hint 1 of 4" in run.words("check-first")
    whole = run.pictures("whole-third")[0]
    assert whole.index("killed") < whole.index("again")
    assert "hello-producer" in run.words("exercises")
