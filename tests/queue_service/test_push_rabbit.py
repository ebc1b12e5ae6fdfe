"""Builds pushed through a real RabbitMQ: to their cluster's consumers, and their outcomes back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labs.broker import connection
from labs.broker.address import Address
from labs.errors import BadInput
from labs.queue_service.messages import State
from labs.queue_service.operations import Find, Start, Stop
from labs.queue_service.push_dispatch import dispatch
from labs.queue_service.push_workers import rabbit_workers
from labs.queue_service.service import QueueService
from labs.stopping import Stop as StopWish
from labs.task_queue.stages import Stage
from labs.task_queue.workers.base import JobRefused, WorkerUnreachable
from labs.task_queue.workers.rabbit import RabbitWorker
from labs.task_queue.workers.rabbit_route import Route
from tests.qprocessor.running import Qprocessor
from tests.support import count, wait_until

WORKING = ("--acknowledge", "--prefetch", "1", "--delay", "0.001")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[QueueService]:
    service = QueueService.at(f"sqlite:///{tmp_path / 'queue.db'}")
    yield service
    service.close()


@pytest.fixture
def qprocessor(vhost: Address, tmp_path: Path) -> Iterator[Qprocessor]:
    starter = Qprocessor(tmp_path, vhost.url)
    yield starter
    starter.end_all()


def start(service: QueueService, build: int, job: int, cluster: str) -> str:
    body = {"buildId": build, "jobId": job, "buildClusterName": cluster}
    operation = Start(
        build_id=build, job_id=job, body=body, blocked_by=(job,), collapse=False, cluster=cluster
    )
    return service.call(operation).id


def state(service: QueueService, id_: str) -> State:
    return service.call(Find(id=id_)).message.state


def done(service: QueueService, id_: str) -> None:
    """Wait until the build is done."""
    wait_until(lambda: state(service, id_) is State.DONE, 60, what=f"build {id_} to be done")


@contextmanager
def dispatching(service: QueueService, vhost: Address, *clusters: str) -> Iterator[None]:
    """A dispatcher of these clusters, for as long as the block."""
    stop, failed = StopWish(), []

    def run() -> None:
        try:
            workers = rabbit_workers(vhost.url, name="one")
            dispatch(service, workers, stop, clusters=clusters, lease_s=30, look_s=0.05)
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.want()
        thread.join(30)
    assert not thread.is_alive()
    assert not failed


def ready(vhost: Address, queue: str, n: int) -> None:
    """Wait until so many messages wait in the queue."""
    wait_until(lambda: count(vhost, queue) == n, 30, what=f"{n} messages in {queue}")


def numbers(done: list[str]) -> list[int]:
    """The builds that a qprocessor says it has done."""
    return sorted(json.loads(body)["buildId"] for body in done)


# --- The two halves meet ----------------------------------------------------------------------


def test_each_cluster_gets_its_own_builds_and_what_is_blocked_when_its_blockers_outcome_has_come(
    service: QueueService, vhost: Address, qprocessor: Qprocessor
) -> None:
    builds = {n: start(service, n, job=n, cluster="arm" if n % 2 else "x86") for n in range(1, 7)}
    blocked = start(service, 11, job=1, cluster="arm")
    with dispatching(service, vhost, "arm", "x86"):
        ready(vhost, "builds.arm", 3)
        ready(vhost, "builds.x86", 3)
        assert state(service, blocked) is State.BLOCKED
        arm = qprocessor.start("--queue", "builds.arm", *WORKING)
        x86 = qprocessor.start("--queue", "builds.x86", *WORKING)
        for id_ in (*builds.values(), blocked):
            done(service, id_)
    arm.stop()
    x86.stop()
    assert numbers(arm.done) == [1, 3, 5, 11]
    assert numbers(x86.done) == [2, 4, 6]
    order = [json.loads(body)["buildId"] for body in arm.done]
    assert order.index(1) < order.index(11)
    assert service.call(Find(id=builds[1])).message.result == "done"
    assert count(vhost, "builds.arm") == count(vhost, "builds.x86") == 0


def test_a_build_that_is_stopped_while_it_is_pushed_is_not_taken_for_done(
    service: QueueService, vhost: Address, qprocessor: Qprocessor
) -> None:
    stopped = start(service, 1, job=7, cluster="arm")
    with dispatching(service, vhost, "arm"):
        ready(vhost, "builds.arm", 1)
        assert service.call(Stop(build_id=1)).stopped
        arm = qprocessor.start("--queue", "builds.arm", *WORKING)
        arm.wait_until_says("Done")
        after = start(service, 2, job=7, cluster="arm")
        done(service, after)
        assert state(service, stopped) is State.STOPPED
    arm.stop()


def test_a_dispatcher_that_was_away_hears_what_came_of_its_builds(
    service: QueueService, vhost: Address, qprocessor: Qprocessor
) -> None:
    ids = [start(service, n, job=n, cluster="arm") for n in (1, 2, 3)]
    with dispatching(service, vhost, "arm"):
        ready(vhost, "builds.arm", 3)
    arm = qprocessor.start("--queue", "builds.arm", *WORKING)
    ready(vhost, "builds.outcomes.one.arm", 3)
    with dispatching(service, vhost, "arm"):
        for id_ in ids:
            done(service, id_)
            assert service.call(Find(id=id_)).message.attempts == 1
    arm.stop()
    # Nobody knows whether there was time to send the newest: it is sent again.
    assert numbers(arm.done) in ([1, 2, 3], [1, 2, 3, 3])


# --- By routing key ---------------------------------------------------------------------------


Make = Callable[..., RabbitWorker]


@pytest.fixture
def make(vhost: Address) -> Iterator[Make]:
    made: list[RabbitWorker] = []

    def one(name: str = "one", *queues: str, **settings: Any) -> RabbitWorker:
        route = Route("builds", lambda body: str(body.get("buildClusterName", "")), queues)
        made.append(RabbitWorker(vhost.url, name=name, route=route, **settings))
        return made[-1]

    yield one
    for worker in made:
        worker.close()


def heard(worker: RabbitWorker, id_: str) -> Stage:
    wait_until(lambda: worker.poll_all_status()[id_] is not Stage.PROCESSING, 30)
    return worker.poll_all_status()[id_]


def test_a_message_for_which_there_is_no_queue_is_refused_in_words_and_not_lost(
    make: Make, vhost: Address
) -> None:
    worker = make("one", "arm")
    with pytest.raises(JobRefused, match="No queue takes messages of 'ppc'") as refused:
        worker.send_job("1", {"buildClusterName": "ppc"})
    assert "bound" in refused.value.remedy
    assert worker.poll_all_status() == {}
    worker.send_job("2", {"buildClusterName": "arm"})
    assert count(vhost, "builds.arm") == 1


def test_an_unroutable_build_waits_in_the_failed_list_with_the_sentence(
    service: QueueService, vhost: Address
) -> None:
    id_ = start(service, 1, job=7, cluster="ppc")
    stop = StopWish()
    workers = rabbit_workers(vhost.url, name="one", make_queues=False)

    def tell(_cluster: str, look: Any) -> None:
        if state(service, id_) is not State.QUEUED or service.call(Find(id=id_)).message.attempts:
            stop.want()
        assert not look.trouble

    dispatch(service, workers, stop, clusters=["ppc"], look_s=0.05, tell=tell)
    message = service.call(Find(id=id_)).message
    assert "No queue takes messages of 'ppc'" in message.reason
    assert message.state in (State.QUEUED, State.FAILED)


def test_consumers_may_bind_a_queue_of_their_own(make: Make, vhost: Address) -> None:
    worker = make("one")
    worker.poll_all_status()
    with connection.connected(vhost) as broker:
        channel = broker.channel()
        channel.queue_declare("mine", durable=True)
        channel.queue_bind("mine", "builds", "arm.#")
    worker.send_job("1", {"buildClusterName": "arm.big"})
    assert count(vhost, "mine") == 1


def test_a_build_that_its_workers_die_of_has_failed_and_only_its_sender_hears_of_it(
    make: Make, vhost: Address, qprocessor: Qprocessor
) -> None:
    one, two = make("one", "arm", max_deliveries=2), make("two", "arm", max_deliveries=2)
    two.poll_all_status()
    one.send_job("poison", {"buildClusterName": "arm"})
    for _ in range(2):
        died = qprocessor.run("--queue", "builds.arm", *WORKING, "--crash-every", "1")
        assert died.process.returncode == 137
    assert heard(one, "poison") is Stage.FAIL
    assert "given the message up" in one.explain("poison").reason
    assert count(vhost, "builds.arm") == 0, "its routing key has not brought it back"
    two.close()
    assert count(vhost, "builds.outcomes.two") == 0


def test_without_a_cluster_the_queue_is_the_exchanges_namesake(make: Make, vhost: Address) -> None:
    make("one", "").send_job("1", {"n": 1})
    assert count(vhost, "builds") == 1


def test_an_exchange_that_is_of_another_kind_is_told(make: Make, vhost: Address) -> None:
    with connection.connected(vhost) as broker:
        broker.channel().exchange_declare("builds", "fanout", durable=True)
    with pytest.raises(WorkerUnreachable) as told:
        make("one", "arm").poll_all_status()
    assert "builds" in str(told.value)


def test_a_cluster_whose_queue_would_take_the_others_builds_too_has_none() -> None:
    for cluster in ("#", "arm.*", "*.arm"):
        with pytest.raises(BadInput, match="stand for any"):
            rabbit_workers("amqp://localhost")(cluster)
    assert rabbit_workers("amqp://localhost", name="one")("c#")
