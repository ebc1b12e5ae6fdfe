"""The job queue as its users meet it: queue, register, handle; each test on both buses."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from labs.errors import BadInput
from labs.job_queue import BadHandler, JobQueue, JobRefused, Outcome
from labs.job_queue.bus import BusUnreachable, NotConfirmed
from labs.job_queue.jobs import Job
from labs.job_queue.memory import MemoryBus
from labs.job_queue.rabbitmq import RabbitBus
from labs.waiting import wait_until
from tests.job_queue.queues import NAME, TIMEOUT_S, Gate, Replicas, of_type
from tests.job_queue.test_jobs import POISON

# Queueing


def test_a_job_that_was_queued_is_there_and_its_id_is_returned(replicas: Replicas) -> None:
    queue = replicas()
    job = {"job_type": "DemoJob", "name": "Ada"}

    job_id = queue.queue_job(job)

    assert queue.counts().ready == 1
    assert job == {"job_type": "DemoJob", "name": "Ada"}
    found = replicas.bus.get(NAME)
    assert found is not None
    assert found.message.message_id == job_id


def test_many_jobs_are_queued_at_once_or_none_when_one_is_no_job(replicas: Replicas) -> None:
    queue = replicas()

    ids = queue.queue_jobs(of_type("a", range(250)))

    assert ids == tuple(f"a-{n}" for n in range(250))
    with pytest.raises(JobRefused):
        queue.queue_jobs([{"job_type": "a"}, {"no": "type"}])
    assert queue.queue_jobs([]) == ()
    assert queue.counts().ready == 250


def test_what_is_refused_at_the_door_is_not_queued(replicas: Replicas) -> None:
    queue = replicas()
    refused: list[Any] = [None, [], {}, {"job_type": ""}, {"job_type": "A", "x": b"raw"}]
    for job in refused:
        with pytest.raises(ValueError, match="job"):
            queue.queue_job(job)
    with pytest.raises(JobRefused, match="delay_s"):
        queue.queue_job({"job_type": "A"}, delay_s=-1)
    assert queue.counts().ready == 0


def test_a_job_with_a_delay_comes_later_and_never_sooner(replicas: Replicas) -> None:
    queue = replicas()
    gate = Gate(open_=True)
    queue.register_job_handler("a", gate)
    began_s = time.monotonic()
    queue.queue_jobs(of_type("a", ["later"]), delay_s=0.3)
    queue.start()

    replicas.wait_for_attempts(1)

    assert time.monotonic() - began_s >= 0.3
    assert list(gate.came) == ["a-later"]


# Registering


def test_a_handler_is_registered_by_a_call_or_as_a_decorator_and_stays_a_function(
    replicas: Replicas,
) -> None:
    queue = replicas()

    @queue.register_job_handler("a")
    def handler(job: Job) -> bool:
        return bool(job["job_type"] == "a")

    assert queue.register_job_handler("b", handler) is handler
    assert handler({"job_type": "a"}) is True


async def coroutine(_: Job) -> bool:
    return True


@pytest.mark.parametrize(
    ("job_type", "handler", "share", "sentence"),
    [
        ("taken", lambda _: True, None, "'taken' has already been registered"),
        ("a", None, None, "can't be called: it is None"),
        ("a", "no function", None, "can't be called: it is 'no function'"),
        ("a", coroutine, None, "is a coroutine"),
        ("", lambda _: True, None, "must be text"),
        (None, lambda _: True, None, "must be text"),
        ("a", lambda _: True, 0, "from 1 to workers=4"),
        ("a", lambda _: True, 5, "from 1 to workers=4"),
        ("a", lambda _: True, "2", "from 1 to workers=4"),
    ],
)
def test_what_cannot_be_a_handler_is_refused_in_words(
    job_type: Any, handler: Any, share: int | None, sentence: str
) -> None:
    queue = JobQueue(MemoryBus(), NAME)
    queue.register_job_handler("taken", lambda _: True)

    with pytest.raises(BadHandler, match=sentence) as caught:
        queue.register_job_handler(job_type, handler, share=share)

    assert isinstance(caught.value, ValueError)
    assert caught.value.remedy


def test_a_decorator_without_its_type_says_so_at_once() -> None:
    queue: Any = JobQueue(MemoryBus(), NAME)

    with pytest.raises(BadHandler, match="must be text"):

        @queue.register_job_handler
        def handler(_: Job) -> bool:
            return True


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"prefetch": 0},
        {"prefetch": 70_000},
        {"first_pause_s": 0},
        {"first_pause_s": 5, "longest_pause_s": 1},
        {"unknown_limit": 0},
        {"grace_s": -1},
        {"max_losses": -1},
    ],
)
def test_options_that_cannot_be_meant_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(options))):
        JobQueue(MemoryBus(), NAME, **options)


@pytest.mark.parametrize("name", ["", "a" * 201, "é" * 101, "two\nlines", "\ud800"])
def test_a_queue_needs_a_name_that_a_broker_can_carry(name: str) -> None:
    with pytest.raises(BadInput, match="name must be"):
        JobQueue(MemoryBus(), name)


def test_who_starts_without_handlers_or_twice_is_told(replicas: Replicas) -> None:
    queue = replicas()
    with pytest.raises(BadInput, match="No handler is registered"):
        queue.start()
    queue.register_job_handler("a", lambda _: True)
    queue.start()
    with pytest.raises(BadInput, match="runs already"):
        queue.start()


# Handling


def test_true_is_done_false_comes_back_and_the_rest_is_kept_with_its_reason(
    replicas: Replicas,
) -> None:
    queue = replicas()
    answers: dict[str, list[Any]] = {
        "done": [True],
        "later": [False, False, True],
        "none": [None],
        "one": [1],
    }

    def answer(job: Job) -> Any:
        return answers[job["how"]].pop(0)

    def fails(job: Job) -> bool:
        raise LookupError(job["how"])

    queue.register_job_handler("answer", answer)
    queue.register_job_handler("fails", fails)
    for how in answers:
        queue.queue_job({"job_type": "answer", "job_id": how, "how": how})
    queue.queue_job({"job_type": "fails", "job_id": "raises", "how": "badly"})
    queue.start()

    attempts = replicas.wait_for_attempts(7)

    ended = {(one.job_id, one.number): one.outcome for one in attempts}
    assert ended == {
        ("done", 1): Outcome.DONE,
        ("later", 1): Outcome.NOT_YET,
        ("later", 2): Outcome.NOT_YET,
        ("later", 3): Outcome.DONE,
        ("none", 1): Outcome.FAILED,
        ("one", 1): Outcome.FAILED,
        ("raises", 1): Outcome.FAILED,
    }
    assert queue.stop()
    failed = {one.job_id: one for one in queue.failed.list()}
    assert set(failed) == {"none", "one", "raises"}
    assert failed["raises"].reason == "LookupError: badly"
    assert 'raise LookupError(job["how"])' in failed["raises"].traceback
    assert (failed["raises"].job_type, failed["raises"].attempts) == ("fails", 1)
    assert failed["none"].job == {
        "job_type": "answer",
        "job_id": "none",
        "how": "none",
        "version": "1.0.0",
    }
    assert (queue.counts().ready, queue.counts().slow) == (0, 0)


def test_the_pause_before_an_attempt_grows_and_is_never_cut_short(replicas: Replicas) -> None:
    queue = replicas(first_pause_s=0.1, longest_pause_s=0.2)
    queue.register_job_handler("a", lambda _: False)
    queue.queue_job({"job_type": "a"})
    queue.start()

    attempts = replicas.wait_for_attempts(4)

    pauses = [later.started_s - sooner.ended_s for sooner, later in pairwise(attempts[:4])]
    assert all(pause >= least for pause, least in zip(pauses, [0.1, 0.2, 0.2], strict=True)), pauses
    assert [one.number for one in attempts[:4]] == [1, 2, 3, 4]


def test_a_handler_has_a_dict_of_its_own_at_each_attempt(replicas: Replicas) -> None:
    queue = replicas()
    seen = []

    @queue.register_job_handler("a")
    def vandal(job: Job) -> bool:
        seen.append(dict(job))
        job.clear()
        return len(seen) == 2

    queue.queue_job({"job_type": "a", "x": [1]})
    queue.start()
    replicas.wait_for_attempts(2)

    assert seen[0] == seen[1]


def test_a_type_that_another_replica_knows_is_done_there(replicas: Replicas) -> None:
    stranger, knows = replicas(workers=1, prefetch=1), replicas(workers=1, prefetch=1)
    stranger.register_job_handler("other", lambda _: True)
    stranger.queue_job({"job_type": "new", "job_id": "1"})
    stranger.start()
    replicas.wait_for_attempts(1)
    knows.register_job_handler("new", lambda _: True)
    knows.start()

    wait_until(lambda: replicas.attempts[-1].outcome is Outcome.DONE, TIMEOUT_S)

    assert replicas.attempts[0].outcome is Outcome.UNKNOWN
    assert replicas.attempts[-1].number == 1  # it was never tried before
    assert stranger.failed.list() == ()


def test_a_type_that_nobody_knows_has_failed_after_the_limit(replicas: Replicas) -> None:
    queue = replicas(unknown_limit=3)
    queue.register_job_handler("other", lambda _: True)
    queue.queue_job({"job_type": "nobody's", "job_id": "1"})
    queue.start()

    attempts = replicas.wait_for_attempts(3)

    assert [one.outcome for one in attempts] == [Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.FAILED]
    assert queue.stop()
    (failed,) = queue.failed.list()
    assert 'No handler is registered for the job type "nobody\'s"' in failed.reason
    assert "3 times" in failed.reason
    assert failed.attempts == 0


def test_what_is_no_job_has_failed_at_once_with_its_bytes_and_the_workers_go_on(
    replicas: Replicas,
) -> None:
    queue = replicas(workers=2)
    queue.register_job_handler("a", lambda _: True)
    queue.counts()  # makes the queues
    replicas.put(*POISON)
    queue.queue_job({"job_type": "a", "job_id": "good"})
    queue.start()

    attempts = replicas.wait_for_attempts(len(POISON) + 1)

    assert queue.stop()
    assert {one.job_id: one.outcome for one in attempts}["good"] is Outcome.DONE
    failed = queue.failed.list()
    assert sorted(one.body for one in failed) == sorted(POISON)
    assert all(one.reason and one.job is None and one.job_type == "" for one in failed)
    assert len({one.job_id for one in failed}) == len(POISON)


def test_a_job_of_a_strangers_without_an_id_gets_one_and_keeps_it(replicas: Replicas) -> None:
    queue = replicas()
    seen: list[str] = []

    @queue.register_job_handler("a")
    def handler(job: Job) -> bool:
        seen.append(job["job_id"])
        return len(seen) > 3

    queue.counts()
    replicas.put(b'{"job_type": "a"}')
    queue.start()
    replicas.wait_for_attempts(4)

    assert len(seen[0]) == 36
    assert len(set(seen)) == 1


def test_an_observer_that_fails_harms_nobody(replicas: Replicas) -> None:
    gate = Gate(open_=True)

    def observer(_: object) -> None:
        raise RuntimeError("the observer's own")

    queue = replicas(workers=1, observer=observer)
    queue.register_job_handler("a", gate)
    queue.queue_jobs(of_type("a", range(5)))
    queue.start()

    gate.wait_for(5)

    assert queue.stop()
    assert queue.counts().ready == 0


def test_an_attempt_says_what_happened_and_when(replicas: Replicas) -> None:
    queue = replicas()
    queue.register_job_handler("a", lambda _: False)
    queue.queue_job({"job_type": "a", "job_id": "1"})
    queue.start()

    attempt = replicas.wait_for_attempts(1)[0]

    assert (attempt.job_id, attempt.job_type, attempt.number) == ("1", "a", 1)
    assert attempt.why == "The handler returned False."
    assert attempt.started_s <= attempt.ended_s


# Looking


def test_a_health_check_of_a_broker_that_answers_returns(replicas: Replicas) -> None:
    replicas().check()


def test_a_broker_that_is_not_there_is_told_without_its_password() -> None:
    bus = RabbitBus("amqp://guest:secret@127.0.0.1:1/%2F", patience_s=0.2)
    queue = JobQueue(bus, NAME)
    queue.register_job_handler("a", lambda _: True)
    for ask in (queue.check, lambda: queue.queue_job({"job_type": "a"}), queue.start, queue.counts):
        with pytest.raises(BusUnreachable, match=r"127\.0\.0\.1:1") as caught:
            ask()
        assert "secret" not in str(caught.value) + caught.value.remedy
    bus.close()


def test_a_queue_that_it_may_not_make_is_not_made(replicas: Replicas) -> None:
    queue = replicas(auto_create=False)

    with pytest.raises(NotConfirmed, match="There is no queue 'jobs'"):
        queue.queue_job({"job_type": "a"})


def test_who_queues_or_looks_takes_the_queues_as_they_are_and_who_handles_insists(
    replicas: Replicas,
) -> None:
    replicas(max_losses=3).queue_job({"job_type": "a"})
    other = replicas(max_losses=4)
    other.register_job_handler("a", lambda _: True)

    other.queue_job({"job_type": "a"})

    assert other.counts().ready == 2
    assert other.failed.list() == ()
    with pytest.raises(BadInput, match="with other properties"):
        other.start()


def test_queues_are_declared_once_by_however_many_threads(replicas: Replicas) -> None:
    queue = replicas()
    together = threading.Barrier(8)

    def go() -> None:
        together.wait()
        queue.queue_job({"job_type": "a"})

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)

    assert queue.counts().ready == 8
