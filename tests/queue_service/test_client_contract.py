"""The service in the same process, and the client far away: the same answers, the same errors.

Each test runs over both, in the client's verbs; so either may stand for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from labs.queue_service.client import QueueServiceClient
from labs.queue_service.client_verbs import Verbs, VerbsOf
from labs.queue_service.errors import KeyReused, UnknownMessage
from labs.queue_service.messages import Claimed, Message, Sample, State
from labs.queue_service.operations import Start, Tick
from labs.queue_service.service import QueueService
from labs.task_queue.errors import ClaimLost
from tests.queue_service.doors import (
    build,
    client,
    cluster,
    door,
    job,
    shared_service,
    shared_url,
)
from tests.support import wait_until

__all__ = ["build", "client", "cluster", "door", "job", "shared_service", "shared_url"]

TIMEOUT_S = 30.0


def test_a_build_is_enqueued_once_and_found_by_its_id_and_by_its_job(
    door: Verbs, build: int, job: int
) -> None:
    first = door.start(build, job, {"container": "node"}, job_name="main")
    again = door.start(build, job)

    assert (first.created, first.state, first.build_id) == (True, State.QUEUED, build)
    assert (again.created, again.id, again.note != "") == (False, first.id, True)
    found = door.find(first.id)
    assert found == door.find_job(job)
    assert (found.message.job_id, found.message.job_name) == (job, "main")
    assert found.message.body["container"] == "node"
    assert found.position is not None


def test_all_that_a_start_says_arrives(door: Verbs, build: int, job: int, cluster: str) -> None:
    start = Start(
        build_id=build,
        job_id=job,
        body={"isPR": False, "annotations": {"team/owner": "ada"}, "priority": "not this one"},
        job_name="deploy",
        blocked_by=(job, job + 1),
        cluster=cluster,
        priority=7,
        delay_s=3600.0,
        max_attempts=5,
        backoff_s=2.5,
    )
    message = door.find(door.call(start).id).message

    assert (message.job_name, message.blocked_by) == ("deploy", start.blocked_by)
    assert (message.cluster, message.priority, message.max_attempts) == (cluster, 7, 5)
    assert message.due - message.enqueued_at == pytest.approx(timedelta(hours=1), abs=SOON)
    assert message.body["annotations"]["team/owner"] == "ada"
    assert message.body["isPR"] is False


SOON = timedelta(seconds=5)


def test_what_a_start_says_of_blocking_is_heeded(door: Verbs, build: int, job: int) -> None:
    door.start(build, job)
    kept = door.start(build + 1, job, collapse=False)
    also = door.start(build + 2, job, collapse=False)
    free = door.start(build + 3, job, blocked_by_self=False)
    virtual = door.start(build + 4, job + 1, virtual=True)
    disabled = door.call(
        Start(build_id=build + 5, job_id=job, body={}, blocked_by=(job,), disabled=True)
    )

    assert (kept.state, kept.waits_for) == (State.BLOCKED, job)
    assert also.state is State.BLOCKED
    assert free.state is State.QUEUED
    assert virtual.state is State.DONE
    assert (disabled.id, disabled.created) == ("", False)


def test_a_newer_build_takes_the_place_of_a_blocked_one(door: Verbs, build: int, job: int) -> None:
    for n in range(3):
        door.start(build + n, job)

    message = door.find(str(build + 1)).message
    assert (message.state, message.replaced_by) == (State.COLLAPSED, str(build + 2))


def test_an_idempotency_key_is_answered_as_the_first_time(
    door: Verbs, build: int, job: int
) -> None:
    key = f"key-{build}"
    options = {"idempotency_key": key, "priority": 3}
    first = door.call(said(build, job, **options))
    door.stop(build)

    again = door.call(said(build, job, **options))

    assert (again.replayed, replace(again, replayed=False)) == (True, first)
    with pytest.raises(KeyReused):
        door.call(said(build + 1, job, **options))


def said(build: int, job: int, **options: object) -> Start:
    """A start; its fingerprint is what the API would make of it."""
    fingerprint = f"{build} {job}"
    return Start(
        build_id=build,
        job_id=job,
        body={},
        blocked_by=(job,),
        fingerprint=fingerprint,
        **options,  # type: ignore[arg-type]
    )


def test_a_frozen_build_says_until_when_and_is_thawed_or_stopped(
    door: Verbs, build: int, job: int
) -> None:
    now = datetime.now(UTC)
    windows = [f"* {now.hour},{(now + timedelta(minutes=1)).hour} ? * *"]
    frozen = door.start(build, job, freeze_windows=windows)
    assert (frozen.state, frozen.until is not None) == (State.FROZEN, True)
    assert frozen.until is not None
    assert frozen.until > now
    assert door.thaw(job).state is State.QUEUED
    with pytest.raises(UnknownMessage):
        door.thaw(job)

    door.start(build + 1, job + 1, freeze_windows=windows)
    assert door.stop_frozen(job + 1).stopped
    forced = door.start(build + 2, job + 2, freeze_windows=windows, force=True)
    assert forced.state is State.QUEUED


def test_a_stop_says_what_it_has_stopped(door: Verbs, build: int, job: int) -> None:
    door.start(build, job)
    stopped, again = door.stop(build, job), door.stop(build)
    late = door.stop(build + 1, job)

    assert (stopped.was, stopped.stopped) == (State.QUEUED, True)
    assert (again.was, again.stopped) == (State.STOPPED, False)
    assert late.was is None
    assert door.start(build + 1, job).state is State.STOPPED


def test_a_schedules_run_is_stopped_by_its_id(door: Verbs, job: int, cluster: str) -> None:
    template = Start(build_id=0, job_id=job, body={}, blocked_by=(job,), cluster=cluster)
    door.put_schedule(job, "H H 1 1 *", template=template, trigger=True)
    run = door.find_job(job).message
    (claimed,) = door.claim("w", cluster=cluster)

    stopped = door.stop(run.id)
    assert (stopped.id, stopped.was, stopped.stopped) == (run.id, State.RUNNING, True)
    with pytest.raises(ClaimLost):
        door.ack(claimed)
    with pytest.raises(UnknownMessage, match="no message 'nothing'"):
        door.stop("nothing")
    door.delete_schedule(job)


def test_a_message_is_claimed_extended_and_acknowledged_with_a_result(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    door.start(build, job, {"n": [1, None, "ä"]}, cluster=cluster)
    assert not door.claim("w", cluster=f"{cluster}-other")

    (claimed,) = door.claim("w", 5, lease_s=60, cluster=cluster)

    assert (claimed.build_id, claimed.job_id, claimed.owner) == (build, job, "w")
    assert (claimed.attempt, claimed.cluster) == (1, cluster)
    assert claimed.body["n"] == [1, None, "ä"]
    assert door.find(claimed.id).message.move == claimed.move
    assert door.extend(claimed, 600) > claimed.lease_ends
    assert door.ack(claimed, {"warnings": 2}) is State.DONE
    message = door.find(claimed.id).message
    assert (message.state, message.result) == (State.DONE, {"warnings": 2})
    assert door.ack(claimed) is State.DONE, "an answer may get lost"
    with pytest.raises(ClaimLost):
        door.nack(claimed)
    with pytest.raises(ClaimLost):
        door.extend(claimed)
    with pytest.raises(UnknownMessage):
        door.ack(replace(claimed, id="ghost"))


def test_a_claim_waits_for_a_message(door: Verbs, build: int, job: int, cluster: str) -> None:
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(door.claim, "w", cluster=cluster, wait_s=TIMEOUT_S)
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        door.start(build, job, cluster=cluster)
        assert [one.build_id for one in waiting.result()] == [build]


def test_a_failed_attempt_is_tried_again_until_it_is_failed_then_replayed_or_forgotten(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    for n in range(2):
        door.start(build + n, job + n, cluster=cluster, max_attempts=2, backoff_s=0.0)
    one, other = door.claim("w", 2, cluster=cluster)
    assert door.nack(one, "not tried", requeue=True) is State.QUEUED
    with pytest.raises(ClaimLost):
        door.nack(one, "not tried", requeue=True)
    assert door.nack(other, "hopeless", final=True) is State.FAILED
    for wanted in (State.QUEUED, State.FAILED):
        (again,) = claimed_by(door, cluster)
        assert door.nack(again, "no luck") is wanted

    failed = {message.id: message for message in of_cluster(door, State.FAILED, cluster)}
    assert {message.reason for message in failed.values()} == {"hopeless", "no luck"}
    assert failed[one.id].attempts == 2

    assert door.replay([one.id, "ghost"]) == [one.id]
    assert door.find(one.id).message.state is State.QUEUED
    assert door.discard([other.id, one.id]) == [other.id]
    with pytest.raises(UnknownMessage):
        door.find(other.id)


def claimed_by(door: Verbs, cluster: str) -> Sequence[Claimed]:
    """What is claimed as soon as the pause between attempts has passed."""
    return wait_until(lambda: door.claim("w", cluster=cluster), TIMEOUT_S, what="a message")


def of_cluster(door: Verbs, state: State, cluster: str) -> list[Message]:
    return list(door.messages(state=state, cluster=cluster))


def test_all_that_failed_are_replayed_or_forgotten_at_once(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    def failed() -> str:
        (claimed,) = door.claim("w", cluster=cluster)
        door.nack(claimed, final=True)
        return claimed.id

    door.start(build, job, cluster=cluster)
    id_ = failed()
    assert id_ in door.replay()
    assert failed() in door.discard()


def test_messages_come_in_pages_newest_first(
    door: Verbs, build: int, job: int, cluster: str
) -> None:
    for n in range(5):
        door.start(build + n, job + n, cluster=cluster, blocked_by=())
    first = door.page(cluster=cluster, limit=2)
    second = door.page(cluster=cluster, limit=2, after=first.next)
    third = door.page(cluster=cluster, limit=2, after=second.next)

    pages = (first, second, third)
    ids = [message.id for page in pages for message in page.messages]
    assert ids == [str(build + n) for n in (4, 3, 2, 1, 0)]
    assert third.next is None
    assert [message.id for message in door.messages(job_id=job + 2)] == [str(build + 2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labs.queue_service.client_verbs.PAGE", 2)
        assert [message.id for message in door.messages(cluster=cluster)] == ids


def test_numbers_of_each_state_are_told_and_how_they_were(
    door: Verbs, shared_service: QueueService, build: int, job: int, cluster: str
) -> None:
    begun = datetime.now(UTC) - SOON
    door.start(build, job, cluster=cluster)
    door.claim("a worker of the numbers", cluster=cluster)
    shared_service.call(Tick())

    def told() -> bool:
        stats = door.stats()
        return stats.counts[State.RUNNING] >= 1 and stats.workers >= 1

    wait_until(told, TIMEOUT_S, what="the numbers")
    stats = door.stats()
    assert set(stats.counts) == set(State)
    assert (stats.at.tzinfo, stats.oldest_age_s >= 0) == (UTC, True)
    samples = door.samples(begun)
    assert all(isinstance(sample, Sample) for sample in samples)
    assert [sample.at for sample in samples] == sorted(sample.at for sample in samples)


def test_a_schedule_is_put_replaced_listed_and_deleted(door: Verbs, job: int, cluster: str) -> None:
    template = Start(build_id=0, job_id=job, body={}, blocked_by=(job,), cluster=cluster)
    put = door.put_schedule(job, "H H * * *", job_name="nightly", body={"a": 1}, template=template)
    assert put is not None
    assert (put.job_name, put.cron, put.time_zone) == ("nightly", "H H * * *", "UTC")
    assert put.next_run > datetime.now(UTC)
    assert put.body["a"] == 1

    now = door.put_schedule(
        job,
        "H 2 * * *",
        time_zone="Europe/Berlin",
        body={"a": 2},
        template=template,
        trigger=True,
    )
    assert [one for one in door.schedules() if one.job_id == job] == [now]
    (claimed,) = claimed_by(door, cluster)
    assert (claimed.build_id, claimed.job_id, claimed.body["a"]) == (None, job, 2)
    assert door.delete_schedule(job)
    assert not door.delete_schedule(job)
    assert door.put_schedule(job, None) is None


def test_the_two_doors_lead_to_the_same_queue(
    shared_service: QueueService, client: QueueServiceClient, build: int, job: int
) -> None:
    near = VerbsOf(shared_service.call)
    client.start(build, job, {"x": 1})

    assert near.find_job(job) == client.find_job(job)
    assert near.page(job_id=job) == client.page(job_id=job)


def test_what_the_service_does_by_itself_is_not_asked_for_from_far_away(
    client: QueueServiceClient,
) -> None:
    with pytest.raises(TypeError, match="Tick is done by the service itself"):
        client.call(Tick())
