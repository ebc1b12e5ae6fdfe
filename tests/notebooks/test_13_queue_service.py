"""The queue service: once whatever is lost, woken, collapsed, frozen, and nothing dies with it."""

from __future__ import annotations

import os
import re

import pytest

from labs.errors import NotPossibleHere
from labs.task_queue.local_postgres import find_binaries
from labs.waiting import wait_until
from tests.conftest import missing
from tests.notebooks.desk import NO_POSTGRES, Desk, Run

NAME = "13-queue-service"

pytestmark = pytest.mark.skipif(
    "LABS_RABBITMQ" in os.environ, reason="no broker is in it, of whatever version"
)


def test_what_was_answered_is_there_whoever_dies_and_only_what_is_wanted_runs(
    without_broker: Desk,
) -> None:
    try:
        find_binaries()
    except NotPossibleHere as why:
        missing(str(why))
    with without_broker.run(NAME) as run:
        assert run.value("list(instances)") == ["one", "two"]
        assert_its_points(run)
        assert "instance two is killed" in run.pictures("run-instance")[-1]
        assert run.value("postgres.url") not in run.everything()
        assert run.errors() == []
        assert "LocalPostgres and LocalInstances ended" in run.words("clean-up")
        wait_until(lambda: without_broker.running() == [], 10, what="all to have ended")


def test_without_postgresql_it_goes_on_with_one_instance(without_broker: Desk) -> None:
    with without_broker.open(NAME) as run:
        run.execute(NO_POSTGRES)
        run.all()
        assert "The lesson goes on without it" in run.words("servers")
        assert run.value("list(instances)") == ["one"]
        assert_its_points(run)
        assert run.errors() == []
        assert "LocalInstances ended" in run.words("clean-up")
        wait_until(lambda: without_broker.running() == [], 10, what="all to have ended")


def assert_its_points(run: Run) -> None:
    """Each of the notebook's experiments, on what really happened."""
    # The same build twice, an answer lost, a key used again: one build each, and the last refused.
    assert run.value("[first.status_code, second.status_code]") == [201, 200]
    assert run.value("after_the_loss") == 1
    assert run.value("again.status_code in (200, 201)")
    assert run.value("keyed.status_code") == 422
    assert run.words("key").count("\n201") == 1, "the answer that the first one got"
    # Blocked until the tests have ended, then woken.
    assert "deploy is blocked" in run.words("run-blocked")
    assert run.value("gap_s") >= 0
    assert "blocked (by job" in run.pictures("run-blocked")[-1]
    # Five pushes: the first and the last are run; in between, only what a slow caller gave time to.
    ends = run.value("dict(ends)")
    assert set(ends) == {"done", "collapsed"}
    assert sum(ends.values()) == 5
    assert ends["collapsed"] >= 2
    drawn = run.pictures("run-collapse")[-1]
    assert drawn.count("collapsed (into") == ends["collapsed"]
    assert "done at" in drawn.split("05: ")[1], "the last push is not for nothing"
    # One is frozen at a time; the urgent one passes it by.
    assert run.value("[frozen_ones, forced['state']]") == [1, "queued"]
    assert "frozen from" in run.pictures("outcome-freeze")[0]
    # A worker is killed: the other one's is the second attempt, and the job was blocked meanwhile.
    assert run.value("[retried.attempts, retried.state]") == [2, "done"]
    assert f"{run.value('victim')} is killed" in run.pictures("outcome-killed")[0]
    # An instance is killed: all that was answered is there, nothing twice, each done once.
    assert run.value("[len(answered), len(missing), max(there.values())]") == [80, 0, 1]
    assert run.value("[len(built), max(built.values())]") == [80, 1]
    assert run.value("len(doubtful)") > 0, "some were not answered, and sent again"
    assert "is killed" in run.pictures("run-instance")[-1]
    # By the clock: spread over the hour, once a night whatever the clock does.
    assert run.value("max(minutes.values())") < 30
    assert run.value("[spring, len(autumn)]") == [["03:00"], 1]
    assert re.search(r"done: \d+@20\d\d-", run.words("put-schedule"))
    # Many requests, few commits; and a short line in which somebody waits for ever.
    assert run.value("dict(statuses)") == {"201": 200}
    assert run.value("commits") < 200
    assert run.value("[long_line, short_line]") == [201, 1]
    assert run.value("age_after_s > age_before_s > 0")
    assert run.value("forgotten['cluster']") == "arm"
