"""The end of a replica: what runs is finished within a limit, what waits is handed back.

Asked by `stop`, and by SIGTERM and SIGINT in a process of its own.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.broker.address import Address
from labs.errors import LabError
from labs.job_queue import Counts, JobQueue
from labs.job_queue.jobs import Job
from labs.waiting import wait_until
from tests.job_queue.conftest import RabbitGround
from tests.job_queue.processes import Site
from tests.job_queue.queues import NAME, TIMEOUT_S, Gate, Replicas, of_type


def test_what_runs_is_finished_and_what_waits_goes_back_at_once(replicas: Replicas) -> None:
    queue, gate = replicas(workers=2, prefetch=10), Gate()
    queue.register_job_handler("a", gate, share=2)
    queue.queue_jobs(of_type("a", range(6)))
    queue.start()
    gate.wait_for(2)

    stopping = threading.Thread(target=queue.stop)
    stopping.start()
    looking = replicas()
    wait_until(lambda: looking.counts().ready == 4, TIMEOUT_S)  # while two still run
    assert stopping.is_alive()
    gate.open()
    stopping.join(TIMEOUT_S)

    assert looking.counts() == Counts(ready=4, slow=0, failed=0)
    assert gate.came.total() == 2


def test_what_is_handed_back_is_done_by_another_replica(replicas: Replicas) -> None:
    first, second = replicas(workers=1, prefetch=10), replicas()
    gate = Gate()
    for queue in (first, second):
        queue.register_job_handler("a", gate)
    first.queue_jobs(of_type("a", range(6)))
    first.start()
    gate.wait_for(1)
    gate.open()
    assert first.stop()
    second.start()

    gate.wait_for(6)

    assert max(gate.came.values()) == 1


def test_after_the_grace_a_job_that_still_runs_comes_back_to_others(replicas: Replicas) -> None:
    stuck, other = replicas(grace_s=0.0), replicas()
    never, gate = Gate(), Gate(open_=True)
    stuck.register_job_handler("a", never)
    other.register_job_handler("a", gate)
    stuck.queue_jobs(of_type("a", [1]))
    stuck.start()
    never.wait_for(1)

    assert stuck.stop() is False
    stuck._bus.close()  # as `close` does with a bus that is its own, and the process's end anyway
    other.start()

    gate.wait_for(1)
    never.open()


def test_a_grace_may_be_without_end(replicas: Replicas) -> None:
    queue, gate = replicas(grace_s=float("inf")), Gate(open_=True)
    queue.register_job_handler("a", gate)
    queue.start()

    assert queue.stop()


def test_a_queue_may_be_stopped_twice_and_started_again(replicas: Replicas) -> None:
    queue, gate = replicas(), Gate(open_=True)
    queue.register_job_handler("a", gate)
    assert queue.stop()
    for number in range(3):
        queue.start()
        queue.queue_jobs(of_type("a", [number]))
        gate.wait_for(number + 1)
        assert queue.stop()
        assert queue.stop()


def test_a_handler_may_stop_its_own_queue(replicas: Replicas) -> None:
    queue = replicas()
    ran = threading.Thread(target=queue.run)

    @queue.register_job_handler("last")
    def last(_: Job) -> bool:
        queue.stop()
        return True

    queue.queue_job({"job_type": "last"})
    ran.start()
    ran.join(TIMEOUT_S)

    assert not ran.is_alive()
    wait_until(lambda: len(replicas.attempts) == 1, TIMEOUT_S)


def test_a_queue_that_could_not_start_can_be_started_later(replicas: Replicas) -> None:
    queue, gate = replicas(auto_create=False), Gate(open_=True)
    queue.register_job_handler("a", gate)
    with pytest.raises(LabError, match="There is no queue"):
        queue.start()
    replicas().queue_jobs(of_type("a", [1]))  # makes the queues

    queue.start()

    gate.wait_for(1)


def test_run_ends_when_it_is_stopped_from_another_thread(replicas: Replicas) -> None:
    queue, gate = replicas(), Gate(open_=True)
    queue.register_job_handler("a", gate)
    ran = threading.Thread(target=queue.run)
    ran.start()
    replicas().queue_jobs(of_type("a", [1]))
    gate.wait_for(1)

    queue.stop()

    ran.join(TIMEOUT_S)
    assert not ran.is_alive()


# Processes


@pytest.fixture
def site(vhost: Address, tmp_path: Path) -> Iterator[tuple[Site, JobQueue]]:
    """A worker process's place, and its queue with three jobs."""
    with Site(vhost, tmp_path) as site, site.queue() as queue:
        queue.queue_jobs(of_type("done", range(3)))
        yield site, queue


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_asked_to_end_finishes_and_ends_with_0(
    site: tuple[Site, JobQueue], number: signal.Signals
) -> None:
    its, queue = site
    its.hold.touch()
    worker = its.start_worker()
    its.wait_for(1)

    worker.send_signal(number)
    wait_until(lambda: queue.counts().ready == 2, TIMEOUT_S)  # handed back, while one runs
    assert worker.poll() is None
    its.hold.unlink()

    assert worker.wait(TIMEOUT_S) == 0
    assert queue.counts() == Counts(ready=2, slow=0, failed=0)


def test_a_second_signal_ends_a_process_at_once_and_nothing_is_lost(
    site: tuple[Site, JobQueue],
) -> None:
    its, queue = site
    its.hold.touch()
    worker = its.start_worker()
    its.wait_for(1)

    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: queue.counts().ready == 2, TIMEOUT_S)
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(TIMEOUT_S) == -signal.SIGTERM
    wait_until(lambda: queue.counts().ready == 3, TIMEOUT_S)


# Heartbeats


def test_heartbeats_go_on_while_a_handler_works_for_long(rabbit: RabbitGround) -> None:
    gate = Gate()
    queue = JobQueue(rabbit.connect(heartbeat_s=2), NAME, workers=1, observer=None)
    queue.register_job_handler("a", gate)
    queue.queue_jobs(of_type("a", [1]))
    queue.start()
    gate.wait_for(1)

    def beats() -> int:
        frames = (one for one in rabbit.journal.events if one.name == "heartbeat")
        return sum(one.side == "client" for one in frames)

    wait_until(lambda: beats() >= 4, TIMEOUT_S)
    gate.open()

    assert queue.stop()
    assert gate.came.total() == 1
    assert len(rabbit.proxy.connections()) == 2  # one to publish, one to consume, never anew
    assert queue.counts().ready == 0


ILL_TIMED = """
import signal, sys, threading
from labs.job_queue import JobQueue
from labs.job_queue.memory import MemoryBus

enter = threading.Condition.__enter__

def enter_and_be_struck(condition):
    entered = enter(condition)
    codes = list(calls())
    if codes[0] is threading.Event.wait.__code__ and JobQueue.run.__code__ in codes:
        if JobQueue.start.__code__ not in codes:  # which waits for its threads, before it runs
            signal.raise_signal(signal.SIGTERM)
    return entered

def calls():
    frame = sys._getframe(2)
    while frame:
        yield frame.f_code
        frame = frame.f_back

threading.Condition.__enter__ = enter_and_be_struck
jobs = JobQueue(MemoryBus(), "jobs")
jobs.register_job_handler("a", lambda job: print("done", flush=True) is None)
jobs.queue_job({"job_type": "a"})
jobs.run()
"""


def test_a_signal_in_the_worst_moment_of_the_wait_ends_it_all_the_same() -> None:
    """Whose wait holds a lock that the signal's handler wants would wait for ever."""
    ran = subprocess.Popen([sys.executable, "-c", ILL_TIMED], stdout=subprocess.PIPE, text=True)
    try:
        assert ran.stdout is not None
        assert ran.stdout.readline() == "done\n"
        ran.send_signal(signal.SIGTERM)
        assert ran.wait(TIMEOUT_S) == 0
    finally:
        ran.kill()
        ran.communicate()
