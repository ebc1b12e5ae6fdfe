"""Start here: the broker is found and well, and a first worker is seen at work."""

from __future__ import annotations

from tests.notebooks.desk import Desk, assert_clean

NAME = "00-start-here"


def test_a_first_run_after_a_kill_in_the_middle_shows_doctor_worker_and_picture(
    at_home: Desk,
) -> None:
    at_home.run_half_and_kill(NAME)
    with at_home.run(NAME) as run:
        assert "RabbitMQ" in run.words("setup")
        assert "1 worker" in run.words("setup"), "it says what it has cleared away"
        assert "RabbitMQ" in run.words("doctor")
        assert "Traceback" not in run.words("doctor")
        assert run.value("workers.done") == ["a", "bb", "ccc"]
        assert "outcome" in run.words("outcome-seconds")
        assert "alice: done 3 (a, bb, ccc)" in run.pictures("picture")[0]
        assert_clean(run, at_home)


def test_in_class_it_runs_too(in_class: Desk) -> None:
    with in_class.run(NAME) as run:
        assert "RabbitMQ" in run.words("doctor")
        assert run.value("workers.done") == ["a", "bb", "ccc"]
        assert_clean(run, in_class)
