"""The failed jobs: looked at without loss, queued afresh before they are settled, let go."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from labs.job_queue import JobQueue, Outcome
from labs.job_queue.bus import Message, NotConfirmed
from labs.job_queue.failed import BY_THE_BROKER, NoSuchFailedJob
from labs.job_queue.jobs import Job
from labs.waiting import wait_until
from tests.job_queue.queues import NAME, TIMEOUT_S, Gate, Replicas, of_type

FAILED = f"{NAME}.failed"


def fails(job: Job) -> bool:
    raise ValueError(job["job_id"])


@pytest.fixture
def queue(replicas: Replicas) -> JobQueue:
    """A job queue with five failed jobs, the last of them no job; it is stopped."""
    queue = replicas(workers=1)
    queue.register_job_handler("a", fails)
    queue.queue_jobs(of_type("a", range(4)))
    queue.start()
    replicas.wait_for_attempts(4)
    replicas.put(b"\xffpoison")
    replicas.wait_for_attempts(5)
    assert queue.stop()
    return queue


def test_the_list_has_the_oldest_first_and_looking_changes_nothing(queue: JobQueue) -> None:
    first, second = queue.failed.list(), queue.failed.list()

    assert [job.job_id for job in first[:4]] == ["a-0", "a-1", "a-2", "a-3"]
    assert first[4].body == b"\xffpoison"
    assert first == second
    assert [job.job_id for job in queue.failed.list(limit=2)] == ["a-0", "a-1"]
    assert queue.failed.list() == first


def test_looking_ten_times_and_more_loses_nothing(queue: JobQueue) -> None:
    """A queue with a limit of deliveries would have dropped them after some."""
    for _ in range(25):
        assert len(queue.failed.list()) == 5


def test_one_is_shown_with_all_that_is_known(queue: JobQueue) -> None:
    shown = queue.failed.show("a-2")

    assert (shown.job_type, shown.reason, shown.attempts) == ("a", "ValueError: a-2", 1)
    assert "in fails" in shown.traceback
    assert shown.failed_at_s is not None
    assert shown.job is not None
    with pytest.raises(NoSuchFailedJob, match="no failed job 'b'"):
        queue.failed.show("b")


def test_a_retried_job_begins_anew_with_its_attempts_forgotten(
    queue: JobQueue, replicas: Replicas
) -> None:
    assert queue.failed.retry("a-1", "nobody") == ("a-1",)
    assert [job.job_id for job in queue.failed.list()[:3]] == ["a-0", "a-2", "a-3"]
    message = replicas.bus.get(NAME)
    assert message is not None
    assert dict(message.message.headers) == {}
    replicas.bus.requeue(message)

    queue.start()
    again = replicas.wait_for_attempts(6)[-1]

    assert (again.job_id, again.number, again.outcome) == ("a-1", 1, Outcome.FAILED)


def test_all_are_retried_in_order_and_each_once(queue: JobQueue) -> None:
    ids = queue.failed.retry_all()

    assert ids[:4] == ("a-0", "a-1", "a-2", "a-3")
    assert (queue.counts().ready, queue.counts().failed) == (5, 0)


def test_what_is_discarded_is_gone_and_the_others_stay(queue: JobQueue) -> None:
    assert queue.failed.discard("a-3", "a-3") == ("a-3",)
    assert [job.job_id for job in queue.failed.list()[:3]] == ["a-0", "a-1", "a-2"]
    poison = queue.failed.list()[-1]
    assert queue.failed.discard(poison.job_id) == (poison.job_id,)
    assert len(queue.failed.discard_all()) == 3
    assert queue.counts().failed == 0


class Breaking:
    """A bus whose `publish` fails after some messages."""

    def __init__(self, queue: JobQueue) -> None:
        self._bus = queue._bus
        queue._bus = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> object:
        return getattr(self._bus, name)

    def publish(self, *_: object, **__: object) -> None:
        raise NotConfirmed("The broker did not take it.")


def test_what_could_not_be_queued_afresh_is_still_among_the_failed(queue: JobQueue) -> None:
    before = queue.failed.list()
    whole = queue._bus
    Breaking(queue)

    with pytest.raises(NotConfirmed):
        queue.failed.retry_all()

    queue._bus = whole
    assert queue.failed.list() == before


@pytest.mark.parametrize(
    "act", [lambda failed: failed.retry_all(), lambda failed: failed.discard_all()]
)
def test_two_people_at_once_do_each_job_once(
    replicas: Replicas, act: Callable[[object], tuple[str, ...]]
) -> None:
    mine, yours = replicas(), replicas()
    mine.counts()
    replicas.bus.publish(FAILED, [Message(b"{}", {"reason": "x"}, str(n)) for n in range(60)])
    together = threading.Barrier(2)
    done: list[str] = []

    def go(queue: JobQueue) -> None:
        together.wait(TIMEOUT_S)
        done.extend(act(queue.failed))

    threads = [threading.Thread(target=go, args=(queue,)) for queue in (mine, yours)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)

    assert sorted(done, key=int) == [str(n) for n in range(60)]
    assert mine.counts().failed == 0
    assert mine.counts().ready in (0, 60)


def test_a_job_that_is_lost_with_its_workers_too_often_is_kept(replicas: Replicas) -> None:
    queue = replicas(max_losses=1)
    gate = Gate()
    queue.register_job_handler("a", gate, share=4)
    queue.queue_jobs(of_type("a", ["killer"]))
    queue.start()
    for times in (1, 2):
        gate.wait_for(times)
        replicas.ground.cut()

    looking = replicas(max_losses=1)
    wait_until(lambda: looking.counts().failed == 1, TIMEOUT_S)
    gate.open()

    (job,) = looking.failed.list()
    assert (job.job_id, job.reason) == ("a-killer", BY_THE_BROKER)
    assert gate.came.total() == 2


def test_what_two_people_have_mixed_up_is_put_in_order_by_the_next(replicas: Replicas) -> None:
    queue = replicas()
    queue.counts()
    mixed = [Message(b"raw", {"failed_at_ms": at_ms}, str(at_ms)) for at_ms in (3, 1, 4, 2)]
    replicas.bus.publish(FAILED, mixed)

    assert [job.job_id for job in queue.failed.list()] == ["1", "2", "3", "4"]
    assert queue.failed.retry_all() == ("1", "2", "3", "4")


def test_the_same_bytes_without_an_id_have_the_same_name(replicas: Replicas) -> None:
    queue = replicas()
    queue.counts()
    replicas.bus.publish(FAILED, [Message(b"raw")])

    names = {queue.failed.list()[0].job_id for _ in range(2)}

    assert len(names) == 1
    assert queue.failed.discard(*names) == tuple(names)
