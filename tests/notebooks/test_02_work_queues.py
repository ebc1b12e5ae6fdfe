"""Work queues: messages are dealt out in turn, and one who comes late gets nothing."""

from __future__ import annotations

from tests.notebooks.desk import Desk, Run, assert_clean

NAME = "02-work-queues"


def test_workers_share_the_work_in_turn(at_home: Desk) -> None:
    at_home.run_half_and_kill(NAME)
    with at_home.run(NAME) as run:
        assert_its_points(run)
        assert_clean(run, at_home)


def test_in_class_they_do_so_too(in_class: Desk) -> None:
    with in_class.run(NAME) as run:
        assert_its_points(run)
        assert_clean(run, in_class)


def assert_its_points(run: Run) -> None:
    """Equal shares for one to four workers, each third task to the same, nothing for the late."""
    shares = run.value("{n: sorted(team.shares.values()) for n, team in teams.items()}")
    assert shares == {"1": [12], "2": [6, 6], "3": [4, 4, 4], "4": [3, 3, 3, 3]}
    assert run.value("three['alice'].done") == ["task 01", "task 04", "task 07", "task 10"]
    assert run.value("bobs_share") == 0
    assert run.value("sorted(early.done[8:] + late.done)") == [f"extra {n}" for n in range(1, 5)]
    assert run.value("len(late.done)") == 2
    assert "alice: done 12" in run.pictures("picture-one")[0]
    assert "(task 01, task 04, task 07, task 10)" in run.pictures("three")[0]
    assert "dave: done 3" in run.pictures("picture-four")[0]
    assert "bob: done 2" in run.pictures("picture-late")[0]
    wire = run.pictures("wire-late")[0]
    assert wire.index("work to alice: deliver task 08") < wire.index("bob to the broker: connect")
