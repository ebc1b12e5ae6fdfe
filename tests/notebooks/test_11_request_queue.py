"""The request queue: answers at once, order for each key, a killed replica, what commit means."""

from __future__ import annotations

from tests.notebooks.desk import Desk, Run, assert_clean

NAME = "11-request-queue"


def test_requests_outlive_their_replicas_and_commits_are_bookmarks(at_home: Desk) -> None:
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
    """Each of the notebook's experiments, on what really happened."""
    # The queueing API answers before anybody works, and says so when its log is away.
    assert run.value("[answer.status_code, accepted.status_code]") == [202, 202]
    assert run.value("waiting") == 1
    assert run.value("queued_s < 2 <= direct_s")
    assert run.value("[well.status_code, unwell.status_code]") == [200, 503]
    # One key, one partition, in order; different keys at the same time.
    assert run.value("len(used)") == 1
    assert run.value("len({number for _, number, _ in fleet.places})") == 4
    assert run.value("[in_order_one, in_order_all]") == [True, False]
    assert run.value("sorted(pair.shares)") == ["alice", "bob"]
    assert run.value("min(pair.shares.values())") > 0, "both had partitions"
    assert "web create waiting" in run.pictures("queue-fleet")[0]
    drawn = run.pictures("picture-order")[0]
    assert drawn.count("done: alice") + drawn.count("done: bob") == 15
    # Killed in the fourth: the rest is bob's, and only the one in hand is begun twice.
    assert run.value("[len(alice.done), len(bob.done), len(begun_twice)]") == [3, 5, 1]
    before, after = run.pictures("outcome-killed")[0].split("Bob has done the rest")
    assert before.count("done: alice") == 3
    assert before.count("in work: alice") == 1
    assert before.count("waiting") == 4
    assert (after.count("done: alice"), after.count("done: bob")) == (3, 5)
    assert "cut off 1" in run.pictures("timeline-killed")[0]
    # Committed too early: gone. The same accident twice.
    assert run.value("after_early") == "b"
    assert run.value("[back_rabbitmq, back_last, back_hole]") == [["c"], [], ["c", "d", "e"]]
    side = run.pictures("picture-side")[0]
    assert "queue: a gone, b gone, c waiting, d gone, e gone." in side
    assert "2 c lost" in side
    assert "3 d again waiting" in side
    assert "c again" in run.pictures("wire-side")[0]
    # Done, put back, answered, failed: each is committed, nothing is stuck, nothing is lost.
    assert run.value("stuck") == 0
    assert run.value("tried[-2:]") == ["fine", "not-yet"]
    drawn = run.pictures("outcome-outcomes")[0]
    for words in ("0 not-yet start put back", "1 broken start failed", "2 no JSON failed"):
        assert words in drawn
    assert "4 not-yet done: carol; committed 5." in drawn
    assert '"status": "FAILED"' in run.words("show-outcomes")
    assert "It is not JSON" in run.words("show-outcomes")
