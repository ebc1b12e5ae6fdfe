"""Workers side by side: within a replica, between replicas, and types that leave each other room.

Nothing is timed: handlers stand at barriers and gates, so that what must happen at once can
only happen at once, and what must not wait for something could otherwise never end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from labs.job_queue.bus import Bus, Message
from labs.job_queue.jobs import Job
from labs.job_queue.outcomes import Outcome
from labs.waiting import wait_until
from tests.job_queue.queues import NAME, TIMEOUT_S, Gate, Replicas, of_type


def test_handlers_work_side_by_side(replicas: Replicas) -> None:
    queue = replicas(workers=3)
    together = threading.Barrier(3)

    def meet(_: Job) -> bool:
        together.wait(TIMEOUT_S)
        return True

    for job_type in "abc":
        queue.register_job_handler(job_type, meet)
        queue.queue_job({"job_type": job_type})
    queue.start()

    assert {one.outcome for one in replicas.wait_for_attempts(3)} == {Outcome.DONE}


def test_replicas_share_the_work(replicas: Replicas) -> None:
    together = threading.Barrier(2)

    def meet(_: Job) -> bool:
        together.wait(TIMEOUT_S)
        return True

    for _ in range(2):
        queue = replicas(workers=1, prefetch=1)
        queue.register_job_handler("a", meet)
        queue.start()
    queue.queue_jobs(of_type("a", range(6)))

    attempts = replicas.wait_for_attempts(6)

    assert {one.outcome for one in attempts} == {Outcome.DONE}
    assert len({one.job_id for one in attempts}) == 6


@pytest.mark.parametrize(("share", "most"), [(None, 3), (1, 1), (4, 4)])
def test_a_type_never_has_more_workers_than_its_share(
    replicas: Replicas, share: int | None, most: int
) -> None:
    queue = replicas(workers=4)
    flood, quick = Gate(), Gate()
    queue.register_job_handler("flood", flood, share=share)
    queue.register_job_handler("quick", quick, share=4)
    queue.queue_jobs(of_type("flood", range(6)))
    queue.queue_jobs(of_type("quick", range(6)))
    queue.start()

    flood.wait_for(most)
    quick.wait_for(4 - most)  # the others have the rest of the workers
    flood.open()
    quick.open()
    replicas.wait_for_attempts(12)

    assert flood.most_inside == most


@pytest.mark.parametrize("workers", [2, 4])
def test_a_flood_of_a_slow_type_does_not_starve_a_quick_one(
    replicas: Replicas, workers: int
) -> None:
    """The slow handlers end only after the quick job: had it to wait for one, it never came."""
    queue = replicas(workers=workers)
    slow, quick = Gate(), Gate(open_=True)
    queue.register_job_handler("slow", slow)
    queue.register_job_handler("quick", quick)
    queue.queue_jobs(of_type("slow", range(100)))
    queue.queue_jobs(of_type("quick", range(3)))
    queue.start()

    quick.wait_for(3)

    assert slow.most_inside == workers - 1
    slow.open()
    attempts = replicas.wait_for_attempts(103)
    assert queue.stop()
    assert slow.came.total() == len(slow.came) == 100
    assert {one.outcome for one in attempts} == {Outcome.DONE}
    assert queue.counts().ready == queue.counts().slow == 0


class CountingBus:
    """Counts what is moved aside."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.moved: list[Message] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._bus, name)

    def publish(self, queue: str, messages: list[Message], *, delay_s: float = 0.0) -> None:
        if queue.endswith(".slow"):
            self.moved += messages
        self._bus.publish(queue, messages, delay_s=delay_s)


def test_a_job_is_moved_aside_once_at_most(replicas: Replicas) -> None:
    queue = replicas(workers=2)
    queue._bus = counting = CountingBus(queue._bus)  # type: ignore[assignment]
    slow = Gate()
    queue.register_job_handler("slow", slow)
    queue.queue_jobs(of_type("slow", range(30)))
    queue.start()
    wait_until(lambda: queue.counts().ready == 0 and queue.counts().slow > 20, TIMEOUT_S)

    slow.open()
    replicas.wait_for_attempts(30)

    moved = [message.message_id for message in counting.moved]
    assert len(moved) == len(set(moved)) >= 20
    assert slow.came.total() == len(slow.came) == 30


def test_jobs_of_an_unknown_type_do_not_take_all_workers(replicas: Replicas) -> None:
    queue = replicas(workers=2)
    gate = Gate(open_=True)
    queue.register_job_handler("known", gate)
    queue.queue_jobs(of_type("unknown", range(50)))
    queue.queue_jobs(of_type("known", range(50)))
    queue.start()

    gate.wait_for(50)


@pytest.fixture
def cut_off(replicas: Replicas) -> Iterator[tuple[Replicas, Gate]]:
    """A replica with one job in its handler and five in its window, cut off and connected anew."""
    gate, probe = Gate(), Gate(open_=True)
    queue = replicas(workers=2, prefetch=8)
    queue.register_job_handler("a", gate)
    queue.register_job_handler("probe", probe)
    queue.queue_jobs(of_type("a", range(6)))
    queue.start()
    gate.wait_for(1)
    wait_until(lambda: replicas.bus.count(NAME) == 0, TIMEOUT_S)
    replicas.ground.cut()
    replicas().queue_job({"job_type": "probe"})
    probe.wait_for(1)  # over the new connection
    yield replicas, gate
    gate.open()


def test_after_a_cut_only_what_was_in_a_handler_is_done_twice(
    cut_off: tuple[Replicas, Gate],
) -> None:
    replicas, gate = cut_off
    first = next(iter(gate.came))

    gate.open()
    attempts = replicas.wait_for_attempts(8)

    assert {one.outcome for one in attempts} == {Outcome.DONE}
    assert dict(gate.came) == {f"a-{n}": 2 if f"a-{n}" == first else 1 for n in range(6)}


def test_not_yet_after_a_cut_does_not_make_two_jobs_of_one(replicas: Replicas) -> None:
    gate, probe = Gate(answer=False), Gate(open_=True)
    queue = replicas(workers=2)
    queue.register_job_handler("a", gate)
    queue.register_job_handler("probe", probe)
    queue.queue_job({"job_type": "a", "job_id": "1"})
    queue.start()
    gate.wait_for(1)
    replicas.ground.cut()
    replicas().queue_job({"job_type": "probe"})
    probe.wait_for(1)  # over the new connection

    gate.answer = True
    gate.open()
    replicas.wait_for_attempts(3)
    replicas().queue_job({"job_type": "probe"}, delay_s=0.3)  # comes after a second job would
    replicas.wait_for_attempts(4)

    assert gate.came["1"] == 2
