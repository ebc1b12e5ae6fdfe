"""At least once: wherever a worker, its connection or the broker is struck, no job is lost.

A moment is a frame on the wire, where the proxy holds everything from then on; so each
stands for a place between taking a job and having settled it. There the process is
killed, the connection cut, or the broker killed and started again. Afterwards each job has
come to its end: done, or among the failed. It may have come to a handler once more than it
had to, except where the strike is before the handler: even an acknowledgement that was
sent may not have arrived.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from labs.broker.address import Address
from labs.broker.binaries import Binaries
from labs.broker.node import PrivateNode
from labs.broker.ports import free_port
from labs.job_queue import JobQueue
from labs.proxy.faults import BROKER, CLIENT, Cut, Moment
from labs.waiting import wait_until
from tests.job_queue.processes import DOOR, TIMEOUT_S, Site, terminate
from tests.job_queue.queues import QUICK

TAKING = Moment("basic.deliver", BROKER)
PUBLISHING = Moment("basic.publish", CLIENT)
SETTLING = Moment("basic.ack", CLIENT)
MOMENTS: dict[str, tuple[Moment, bool]] = {
    # Where: the frame, and whether it still gets through
    "before the handler": (TAKING, False),
    "after the handler, before what goes on is published": (PUBLISHING, False),
    "published, before it is confirmed": (PUBLISHING, True),
    "confirmed, before the ack": (SETTLING, False),
    "after the ack": (SETTLING, True),
}
IN_THE_HANDLER = "in the handler"
COMES = {"done": 1, "later": 2, "fails": 1}
"""How often a job must come to its handler."""


def cases() -> Iterator[tuple[str, str]]:
    """What is done publishes nothing; everything else may be struck everywhere."""
    for job_type in COMES:
        for where in (*MOMENTS, IN_THE_HANDLER):
            if job_type != "done" or "publish" not in where:
                yield job_type, where


@pytest.fixture(scope="module")
def node(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """A broker of these tests' own, which they kill."""
    home = tmp_path_factory.mktemp("struck") / "node"
    node = PrivateNode(home, binaries=binaries, amqp_port=free_port(), management=False)
    node.start()
    yield node
    node.wipe()


@pytest.fixture
def address(node: PrivateNode) -> Address:
    """Where it is."""
    assert node.address is not None
    return node.address


@pytest.mark.parametrize(("job_type", "where"), list(cases()))
@pytest.mark.parametrize("strike", ["process", "connection"])
def test_no_job_is_lost_when_a_worker_is_killed_or_cut_off(
    address: Address, tmp_path: Path, job_type: str, where: str, strike: str
) -> None:
    with Site(address, tmp_path) as site, site.queue() as looking:
        looking.queue_job({"job_type": job_type, "job_id": "the-job"})
        worker = start_and_stop_at(site, where, hold_s=0.0 if strike == "connection" else TIMEOUT_S)
        if strike == "process":
            worker.kill()
            worker.wait()
            worker = site.start_worker()
        elif where == IN_THE_HANDLER:
            site.proxy.cut(DOOR)
        no_job_is_lost(site, looking, job_type, where, worker)


@pytest.mark.slow
def test_no_job_is_lost_when_the_broker_is_killed_and_started_again(
    node: PrivateNode, address: Address, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Six workers on six queues, each at another place, when it happens."""
    places = [*MOMENTS, IN_THE_HANDLER]
    write_down_queues(node, address, [f"old-{number}" for number in range(len(places))])
    with ExitStack() as stack:
        struck = []
        for number, where in enumerate(places):
            folder = tmp_path_factory.mktemp("struck")
            site = stack.enter_context(Site(address, folder, f"old-{number}"))
            looking = stack.enter_context(site.queue())
            looking.queue_job({"job_type": "later", "job_id": "the-job"})
            worker = start_and_stop_at(site, where, hold_s=TIMEOUT_S)
            struck.append((site, looking, "later", where, worker))
        node.kill()
        for site, *_ in struck:
            site.proxy.cut(DOOR)  # what it holds would keep the news of the end from the worker
        node.start()
        for one in struck:
            no_job_is_lost(*one)


def write_down_queues(node: PrivateNode, address: Address, names: list[str]) -> None:
    """Make the job queues, and have the broker write down that they are there.

    RabbitMQ 3.10 loses a quorum queue, with what it has confirmed, when it is killed within
    half a second of the queue's declaration. No client can do anything about that.
    """
    for name in names:
        with JobQueue.connect(address.url, name, **QUICK) as queue:
            queue.register_job_handler("done", lambda _: True)
            queue.start()
    node.restart()


def start_and_stop_at(site: Site, where: str, *, hold_s: float) -> subprocess.Popen[bytes]:
    """Start a worker, and return when it has come to this place, and comes no further."""
    if where == IN_THE_HANDLER:
        site.hold.touch()
        worker = site.start_worker()
        site.wait_for(1)
        return worker
    moment, gets_through = MOMENTS[where]
    site.proxy.add(Cut(moment, before=not gets_through, hold_s=hold_s))
    worker = site.start_worker()
    site.wait_for_strike()
    return worker


def no_job_is_lost(
    site: Site, looking: JobQueue, job_type: str, where: str, worker: subprocess.Popen[bytes]
) -> None:
    """Wait for the job's end, and hold what became of it against what may."""
    site.hold.unlink(missing_ok=True)
    looking.queue_job({"job_type": "done", "job_id": "last"})

    def has_ended() -> bool:
        """Whether the job has come as often as it must, the last one too, and nothing waits."""
        came, counts = site.came(), looking.counts()
        if came["the-job"] < COMES[job_type] or not came["last"]:
            return False
        return counts.ready == counts.slow == 0 and (job_type != "fails" or counts.failed > 0)

    wait_until(has_ended, TIMEOUT_S, what=f"the end of {job_type!r}, struck {where}")
    assert terminate(worker) == 0

    once_more = where != "before the handler"
    assert site.came()["the-job"] <= COMES[job_type] + once_more
    failed = looking.failed.list()
    assert {job.job_id for job in failed} <= {"the-job"}
    assert len(failed) <= (job_type == "fails") * (1 + once_more)
