"""The task queue: one hand for each task, leases, late words refused, the past replayed."""

from __future__ import annotations

import os
import re

import pytest

from labs.errors import NotPossibleHere
from labs.task_queue.local_postgres import find_binaries
from labs.waiting import wait_until
from tests.conftest import missing
from tests.notebooks.desk import NO_POSTGRES, Desk, Run, assert_clean

NAME = "12-task-queue"
ORPHAN = (
    'left = lab.workers("orphan", queue="orphaned", store=SQLITE, '
    'program="notebooks/files/task_worker.py")'
)
pytestmark = pytest.mark.skipif(
    "LABS_RABBITMQ" in os.environ, reason="no broker is in it, of whatever version"
)


def test_each_task_is_in_one_hand_and_comes_back_when_its_lease_runs_out(
    without_broker: Desk,
) -> None:
    try:
        find_binaries()
    except NotPossibleHere as why:
        missing(str(why))
    desk = without_broker
    with desk.open(NAME) as begun:
        begun.until("race")
        begun.execute(ORPHAN)
        begun.kill()
    wait_until(lambda: len(desk.running()) == 1, 30, what="the servers to end with their kernel")
    with desk.run(NAME) as run:
        assert "1 worker stopped" in run.words("setup"), "it says what it has cleared away"
        assert run.value("list(sizes)") == ["memory", "SQLite", "PostgreSQL", "S3"]
        assert_its_points(run)
        # PostgreSQL: one statement alone hands one task to two, and SKIP LOCKED does not.
        assert run.value("[both, locked]") == [["task-000"] * 2, ["task-000", "task-001"]]
        secrets = run.value("[postgres.url, *list(s3.access.values())[1:]]")
        assert not [secret for secret in secrets if secret in run.everything()]
        assert run.errors() == []
        assert "LocalPostgres and LocalS3 ended" in run.words("clean-up")
        wait_until(lambda: desk.running() == [], 10, what="all to have ended")


def test_in_class_without_postgresql_it_says_so_and_makes_its_points_with_the_other_stores(
    in_class: Desk,
) -> None:
    with in_class.open(NAME) as run:
        run.execute(NO_POSTGRES)
        run.all()
        assert "The lesson goes on without it." in run.words("servers")
        assert run.value("list(sizes)") == ["memory", "SQLite", "S3"]
        assert "there is no PostgreSQL here" in run.words("outcome-postgres")
        assert_its_points(run)
        assert_clean(run, in_class)


def assert_its_points(run: Run) -> None:
    """Each of the notebook's experiments, on what really happened."""
    # The same 100 tasks, the same answers, from each store.
    counted = {"WAITING": 90, "PROCESSING": 1, "SUCCESS": 7, "FAIL": 2}
    assert set(map(str, run.value("list(sizes.values())"))) == {str(counted)}
    assert run.value("sorted(set(bodies.values()))") == ["first"]
    assert "claim, from WAITING to PROCESSING" in run.pictures("stages")[0]
    assert "90 WAITING, 1 PROCESSING, 7 SUCCESS, 2 FAIL" in run.pictures("outcome-hundred")[0]
    assert "already in queue" in run.words("run-hundred")
    # Naive, each task goes to both; one statement, one conditional write, one lock: to one.
    six = [f"task-{n:03}" for n in range(6)]
    assert run.value("list(got_naive.values())") == [six, six]
    assert run.value("[sum(map(len, got_sql.values())), several_times(got_sql)]") == [100, []]
    assert run.value("list(got_bare.values())") == [six, six]
    assert run.value("[sum(map(len, got_s3.values())), several_times(got_s3)]") == [6, []]
    assert run.value("list(got_threads.values())") == [six, six]
    assert run.value("[sum(map(len, got_lock.values())), several_times(got_lock)]") == [6, []]
    assert run.value("sorted(set(handed_out.values()))") == [[40, 0]]
    # Killed without a lease: three for ever. With one: they come back, the attempt counted.
    assert run.value("stuck") == ["task-00", "task-01", "task-02"]
    assert run.value("nothing_left") == []
    drawn = run.pictures("outcome-killed")[0]
    assert drawn.count(" s: held.") == 3
    assert "17 succeed" in drawn
    assert run.value("undone") == 0
    assert run.value("attempts") == {"task-00": 2, "task-02": 2, "task-03": 1}
    drawn = run.pictures("outcome-lease")[0]
    assert drawn.count(" s: lease ran out.") == 3
    assert "20 put, 23 claim, 20 succeed, 3 expire" in drawn
    # Back from the dead: refused, and bob's result stands.
    assert run.value("[task.result, task.attempts]") == ["by bob", 2]
    assert run.value("[alice.lost, bob.done]") == [["task-00"], ["task-00"]]
    assert re.search("yours no longer|not yours", run.words("outcome-stale"))
    assert "frozen" in run.pictures("picture-stale")[0]
    assert run.value("[given_up.stage.name, given_up.attempts]") == ["FAIL", 3]
    # Every move an event: replayed they give the board, then and now.
    assert run.value("len(events)") == 20 + 23 + 3 + 20
    assert run.value("then") == {"WAITING": 17, "PROCESSING": 3}
    assert run.value("same") is True
    assert "expire, from PROCESSING" in run.pictures("made")[0]
    assert "Made 23 times." in run.pictures("made")[0]
    # A release limit tops up, never above.
    assert run.value("[len(first), len(second), worker.jobs['task-03'].name]") == [
        3,
        1,
        "PROCESSING",
    ]
    # By HTTP as by hand.
    assert run.value("by_http") == ["SUCCESS", "done far away"]
