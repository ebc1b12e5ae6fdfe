"""Acknowledgements: what is lost for good, what comes back, what is done twice."""

from __future__ import annotations

from tests.notebooks.desk import Desk, Run, assert_clean

NAME = "03-acknowledgements"


def test_what_is_acknowledged_after_the_work_is_never_lost(at_home: Desk) -> None:
    at_home.run_half_and_kill(NAME)
    with at_home.run(NAME) as run:
        assert_its_points(run)
        if at_home.own_broker:  # who may ask sees what waits in alice's memory, too
            assert run.value("max(sample.unacknowledged for sample in watch.samples)") > 3
        assert_clean(run, at_home)


def test_in_class_it_makes_the_same_points_without_the_management_api(in_class: Desk) -> None:
    with in_class.run(NAME) as run:
        assert "own words" in run.value("watch.source")
        assert_its_points(run)
        assert_clean(run, in_class)


def assert_its_points(run: Run) -> None:
    """Each of the notebook's four experiments, on what really happened."""
    # Forgotten without acknowledgement: gone.
    assert run.value("[careless.lost, left_without_ack]") == [["3", "6", "9"], 0]
    assert "lost 3 (3, 6, 9)" in run.pictures("picture-lost")[0]
    # Forgotten with: held as long as alice runs, back when she has stopped, done by bob.
    assert run.value("[left_while_alice_runs, left_with_ack]") == [0, 3]
    assert run.value("bob.done") == ["3", "6", "9"]
    assert run.value("bob.redelivered") == ["3", "6", "9"]
    assert "Ready: 0 at first, at most 3" in run.pictures("run-kept")[0]
    # Killed without: eight are lost. Killed with: all are done, eight are flagged, seven untouched.
    assert run.value("[len(killed_auto.done), left_for_bob]") == [2, 0]
    assert run.value("sorted(killed.done + rescue.done) == ten")
    assert run.value("[len(killed.received), len(rescue.redelivered)]") == [3, 8]
    picture = run.pictures("picture-killed")[0]
    assert "cut off 1 (job 2)" in picture
    assert "killed at" in picture
    assert "redelivered 8" in picture
    wire = run.pictures("wire-killed")[0]
    told = ["to alice: deliver job 2", "alice: killed", "to bob: deliver job 2 again", "ack job 2"]
    assert sorted(told, key=wire.index) == told
    # Acknowledged before the work: gone. After: there. Between work and ack: done twice.
    assert run.value("[still_there[True], still_there[False]]") == [False, True]
    assert run.value("charges") == ["charge card 4711: 10 euros"] * 2
