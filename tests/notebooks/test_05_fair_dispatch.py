"""Fair dispatch: who gets which message, and who holds those that wait."""

from __future__ import annotations

from tests.notebooks.desk import Desk, Run, assert_clean

NAME = "05-fair-dispatch"


def test_who_is_free_gets_the_next_one_if_there_is_a_limit(at_home: Desk) -> None:
    at_home.run_half_and_kill(NAME)
    with at_home.run(NAME) as run:
        assert_its_points(run)
        if at_home.own_broker:
            assert "management API" in run.value("hoard_watch.source")
        assert_clean(run, at_home)


def test_in_class_it_makes_the_same_points_without_the_management_api(in_class: Desk) -> None:
    with in_class.run(NAME) as run:
        assert "own words" in run.value("hoard_watch.source")
        assert_its_points(run)
        assert_clean(run, in_class)


def assert_its_points(run: Run) -> None:
    """Each of the notebook's experiments, on who really got what."""
    # Round robin: as many messages each, but one worker has every long one.
    assert sorted(run.value("by_turns.shares").values()) == [4, 4]
    assert sorted(run.value("long_done(by_turns)").values()) == [0, 4]
    assert "L1------------------" in run.pictures("picture-dealt")[0]
    # With a limit: both have long ones, and nobody is sent the next before it has done the last.
    assert sum(run.value("one_each.shares").values()) == 8
    assert min(run.value("long_done(one_each)").values()) >= 1
    assert run.value("[w.received == w.done for w in one_each]") == [True, True]
    # Without acknowledgements the limit does nothing.
    assert sorted(run.value("long_done(no_acknowledge)").values()) == [0, 4]
    # qos after consume is in vain.
    assert run.value("waiting") == {"consume, then qos": 0, "qos, then consume": 9}
    # Without a limit a newcomer gets nothing of the backlog, until who holds it leaves.
    assert run.value("[still_ready, bob_got]") == [0, 0]
    assert run.value("early.done + late.done") == run.value("tasks")
    assert run.value("late.redelivered == late.done")
    # With a limit it waits in the queue, and the newcomer takes it.
    assert run.value("sorted(first.done + helper.done) == tasks")
    assert run.value("len(helper.done)") >= 1
    assert run.value("len(helper.redelivered)") == 0
    assert run.value("max(sample.ready for sample in shared_watch.samples)") > 1
    assert "Queue 'hoard'" in run.pictures("plot-hoard")[0]
    assert "ack s1" in run.pictures("wire-fair")[0]
    wires = [run.pictures(f"wire-order-{order}")[0] for order in ("wrong", "right")]
    assert [wire.count("order to notebook: deliver") for wire in wires] == [10, 1]
    # Every limit was measured to the end.
    assert set(run.value("list(consumed.values())")) == {run.value("COUNT")}
    assert run.words("run-how-large").count(" x ") == 4
