"""Timeouts and restarts: who notices silence, what long work costs, what comes back by itself."""

from __future__ import annotations

from tests.notebooks.desk import Desk, Run, assert_clean

NAME = "06-timeouts-and-restarts"


def test_a_silent_workers_message_is_done_by_another_and_a_lost_worker_comes_back(
    at_home: Desk,
) -> None:
    at_home.run_half_and_kill(NAME)
    with at_home.run(NAME) as run:
        assert_its_points(run)
        if at_home.own_broker:
            assert run.value("done_after_restart") == 6
            assert run.value("sorted(set(faithful.done)) == jobs")
            assert "connection lost at" in run.pictures("run-restart")[0]
        assert_clean(run, at_home)


def test_in_class_it_says_why_there_is_no_restart_and_makes_its_other_points(
    in_class: Desk,
) -> None:
    with in_class.run(NAME) as run:
        assert "can't restart it" in run.words("run-restart")
        assert "At home you would see" in run.words("run-restart")
        assert run.value("done_after_restart") is None
        assert_its_points(run)
        assert_clean(run, in_class)


def assert_its_points(run: Run) -> None:
    """Each experiment that runs everywhere, on what really happened."""
    assert run.value("proposals")[0] > 0
    # Frozen: the heartbeat frees alice's message, nothing frees carol's but her end.
    assert run.value("rescued") == ["alice"]
    assert run.value("rescue.done == [*short.received, *long.received]")
    assert run.value("len(rescue.redelivered)") == 2
    assert run.value("long.done") == []
    # Thawed: alice finishes what bob has done already, can't acknowledge it, and comes back.
    assert run.value("[len(short.done), len(short.acknowledged)]") == [1, 0]
    assert run.value("[e.event for e in short.events].count('started')") == 2
    picture = run.pictures("picture-frozen")[0]
    assert "frozen at" in picture
    assert "thawed at" in picture
    assert "killed at" in picture
    wire = run.pictures("wire-frozen")[0]
    told = ["alice: frozen", "alice: connection lost", "carol: killed", "alice: goes on"]
    assert sorted(told, key=wire.index) == told
    # Long work in the callback: done, lost at the ack, back. In a thread: done and gone.
    assert run.value("[work_done, error]") == [["a long job"], "StreamLostError"]
    assert "outcome    1" in run.words("outcome-long")
    assert run.value("[finished, left_over]") == [[["a long job", True]], 0]
    lost, kept = run.pictures("wire-long")[0].split("notebook: connection lost")
    assert "notebook to the broker: heartbeat" not in lost.replace(" heartbeats", " heartbeat")
    assert "heartbeats" in kept.split("again", 1)[1].split("ack a long job")[0]
    assert run.value("[len(patient.received), len(patient.acknowledged)]") == [1, 1]
    assert "disconnected" not in run.words("run-qprocessor")
    # A deleted queue ends start_consuming() without an error.
    assert run.value("behaviour") == "return"
    # Four processes for four messages, each crash survived, each message done once.
    assert run.value("[processes, loop.returncode]") == [4, 0]
    said = run.words("run-loop")
    assert [said.count(f"Done {body}\n") for body in ("one", "two", "three", "four")] == [1] * 4
    assert said.count("Crashing in the middle") == 3
    # What was done twice is said so.
    assert list(run.value("times_done").values()) == [2, 1, 2]
