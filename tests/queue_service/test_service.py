"""The service's verbs, one by one, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from labs.queue_service.errors import UnknownMessage
from labs.queue_service.messages import State
from labs.queue_service.operations import Extend, Find, GetStats
from labs.queue_service.service import QueueService
from labs.task_queue.errors import ClaimLost
from tests.queue_service.grounds import ack, claim, claim_one, held, look, nack, put, state


def test_a_message_is_started_claimed_and_done(service: QueueService) -> None:
    answer = put(service, 5, 7, job_name="main")
    assert (answer.id, answer.build_id, answer.job_id) == ("5", 5, 7)
    assert (answer.state, answer.created) == (State.QUEUED, True)

    claimed = claim_one(service, owner="w1")
    assert (claimed.id, claimed.body, claimed.attempt) == ("5", {"buildId": 5, "jobId": 7}, 1)
    running = look(service, 5)
    assert (running.state, running.owner, running.job_name) == (State.RUNNING, "w1", "main")
    assert running.started_at is not None
    assert running.lease_ends is not None
    assert service.call(Extend(held=held(claimed), lease_s=600)) > claimed.lease_ends

    assert ack(service, claimed, {"n": 1}) is State.DONE
    done = look(service, 5)
    assert (done.state, done.result, done.lease_ends) == (State.DONE, {"n": 1}, None)
    assert done.ended_at is not None
    assert claim(service) == []


def test_a_failed_attempt_waits_for_its_next_one_and_the_last_one_is_final(
    service: QueueService,
) -> None:
    put(service, 5, max_attempts=2, backoff_s=0)
    assert nack(service, claim_one(service), reason="no disk") is State.QUEUED
    second = claim_one(service)
    assert second.attempt == 2
    assert nack(service, second, reason="still none") is State.FAILED
    assert look(service, 5).reason == "still none"
    with pytest.raises(ClaimLost, match="yours no longer"):
        ack(service, second)


def test_what_nobody_knows_is_said_to_be_unknown(service: QueueService) -> None:
    with pytest.raises(UnknownMessage, match="no message '77'"):
        service.call(Find(id="77"))
    with pytest.raises(UnknownMessage, match="no message of job 8"):
        service.call(Find(job_id=8))


def test_the_stats_count_each_state(service: QueueService) -> None:
    for build in (1, 2, 3):
        put(service, build, build)
    put(service, 4, 3)
    ack(service, claim_one(service))
    claim_one(service)
    stats = service.call(GetStats())
    counts = {name: n for name, n in stats.counts.items() if n}
    assert counts == {State.QUEUED: 1, State.BLOCKED: 1, State.RUNNING: 1, State.DONE: 1}
    assert stats.workers == 1
    assert stats.oldest_age_s >= 0
    assert state(service, 4) is State.BLOCKED
