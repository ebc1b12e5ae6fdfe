"""The job queue: growing pauses, nothing dropped, the one duplicate, and shares."""

from __future__ import annotations

import itertools

from tests.notebooks.desk import Desk, Run, assert_clean

NAME = "10-job-queue"


def test_no_job_is_lost_and_the_second_time_can_be_borne(at_home: Desk) -> None:
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
    # A requeued message comes at once, for ever; a job that is not yet done after growing pauses.
    assert run.value("hot") > 50
    assert run.value("[str(a.outcome) for a in deployments]") == ["not yet"] * 3 + ["done"]
    assert run.value("[a.number for a in deployments]") == [1, 2, 3, 4]
    starts = run.value("[a.started_s for a in deployments]")
    pauses = [after - before for before, after in itertools.pairwise(starts)]
    assert all(pause >= least for pause, least in zip(pauses, (0.5, 1, 2), strict=True)), pauses
    assert run.value("mails_before") == 40
    assert "web: 1 done, 3 not yet." in run.pictures("picture-poll")[0]
    # On the wire: published and confirmed, then acknowledged, then delivered again.
    wire = run.pictures("wire-poll")[0]
    told = [
        "to job_queue_consumer: consuming: deliver",
        "to jobs.delay.500: publish",
        "jobs.delay.500 to job_queue_consumer: publishing: confirm",
        "to jobs: ack",
        "to job_queue_consumer: consuming: deliver",
    ]
    at = -1
    for words in told:
        at = wire.index(words, at + 1)
    assert run.value("len(came_again)") == 2
    # Four misfortunes: all are kept, with reasons; one is mended and done.
    reasons = run.value("{job.job_id: job.reason for job in failed}")
    assert len(reasons) == 4
    assert reasons["report-1"] == "KeyError: 'titel'"
    assert "return" in reasons["archive-1"]
    assert "Dance" in reasons["dance-1"]
    assert "report-1" in run.words("list-failed")
    assert "titel" in run.words("show-failed")
    assert run.value("still_failed") == 3
    # Killed between work and ack: twice. Idempotent: once. Cut: both have done it.
    assert run.value("charged") == ["card 4711: 10 euros"] * 2
    killed = run.pictures("picture-killed")[0]
    assert "order-17: 1 done, 1 lost." in killed
    assert killed.index("by alice") < killed.index("s: lost.") < killed.index("by bob")
    assert run.value("charged_once") == [["order-17", 4711, 10]]
    assert run.value("[third.done, fourth.done]") == [[], ["order-17"]]
    assert run.value("[len(charged_twice), alice.done, bob.done]") == [
        2,
        ["order-18"],
        ["order-18"],
    ]
    # Shares: with all workers to the slow type the quick ones wait.
    assert run.value("[quick_before_slow(all_four), quick_before_slow(all_but_one)]") == [0, 20]
    assert "Quick: 20 done." in run.pictures("picture-all-but-one")[0]
