"""Messages as tasks of a work queue: pushed by the service's rules, also from far away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from labs.broker.ports import free_port
from labs.errors import BadInput
from labs.queue_service.api import create_app
from labs.queue_service.auth import Authenticator
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.messages import Message, State
from labs.queue_service.operations import Find, Start, Stop
from labs.queue_service.passwords import PasswordFile
from labs.queue_service.push import Door, MessageTasks
from labs.queue_service.push_dispatch import dispatch
from labs.queue_service.push_workers import argo_workers, process_workers, rabbit_workers
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService
from labs.stopping import Stop as StopWish
from labs.task_queue.controller import Round
from labs.task_queue.errors import (
    BadTask,
    ClaimLost,
    StoreUnreachable,
    Unauthorised,
    UnknownTask,
)
from labs.task_queue.release import ProcessingLimit, ReleaseAll
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Success
from labs.task_queue.work_queue import WorkQueue
from labs.task_queue.workers.base import Restartable, Worker, WorkerUnreachable
from labs.task_queue.workers.dummy import DummyWorker
from labs.waiting import wait_until


@pytest.fixture(params=["in process", "over REST"])
def door(request: pytest.FixtureRequest, sqlite_service: QueueService) -> Iterator[Door]:
    """The service itself, or its client."""
    if request.param == "in process":
        yield sqlite_service
        return
    with serving(create_app(sqlite_service)) as url, QueueServiceClient(url) as client:
        yield client


@pytest.fixture
def service(sqlite_service: QueueService) -> QueueService:
    return sqlite_service


@pytest.fixture
def tasks(service: QueueService) -> MessageTasks:
    return MessageTasks(service)


def start(door: Door, build: int, *, job: int | None = None, **more: Any) -> str:
    job = build if job is None else job
    body = {"buildId": build, "jobId": job} | more.pop("body", {})
    settings: dict[str, Any] = {"blocked_by": (job,), "collapse": False, "backoff_s": 0.0} | more
    if cluster := settings.get("cluster"):
        body["buildClusterName"] = cluster
    return door.call(Start(build_id=build, job_id=job, body=body, **settings)).id


def message(door: Door, id_: str) -> Message:
    return door.call(Find(id=id_)).message


# --- The verbs of a task queue ----------------------------------------------------------------


def test_a_claim_is_acknowledged_with_its_result(door: Door) -> None:
    tasks = MessageTasks(door)
    id_ = start(door, 7, body={"file_name": "x.py"})
    (claim,) = tasks.get(1, lease_s=60)
    assert (claim.id, claim.attempt) == (id_, 1)
    assert claim.body.items() >= {"buildId": 7, "jobId": 7, "file_name": "x.py"}.items()
    assert message(door, id_).state is State.RUNNING
    assert tasks.lookup_task(id_).moves == claim.move
    tasks.success(claim, result={"rows": 3})
    assert message(door, id_).state is State.DONE
    assert tasks.lookup_task(id_).result == {"rows": 3}
    assert tasks.lookup_status(id_) is Stage.SUCCESS


def test_a_failure_is_an_attempt_and_the_last_one_is_final_until_it_is_replayed(
    service: QueueService, tasks: MessageTasks
) -> None:
    id_ = start(service, 7, max_attempts=2)
    for attempt in (1, 2):
        (claim,) = tasks.get(1, lease_s=60, wait_s=5)
        assert claim.attempt == attempt
        tasks.fail(claim, reason=f"No {attempt}!")
    assert message(service, id_).state is State.FAILED
    assert tasks.lookup_task(id_).reason == "No 2!"
    assert tasks.requeue([id_]) == [id_]
    assert message(service, id_).state is State.QUEUED


def test_what_is_handed_back_was_no_attempt_but_what_is_set_aside_was(
    service: QueueService, tasks: MessageTasks
) -> None:
    id_ = start(service, 7)
    (claim,) = tasks.get(1, lease_s=60)
    tasks.release(claim)
    assert (message(service, id_).state, message(service, id_).attempts) == (State.QUEUED, 0)
    (claim,) = tasks.get(1, lease_s=60)
    tasks.release(claim, delay_s=300)
    assert message(service, id_).attempts == 1
    assert "handed over" in message(service, id_).reason


def test_a_lease_is_extended_and_a_claim_that_was_lost_settles_nothing(door: Door) -> None:
    tasks = MessageTasks(door)
    id_ = start(door, 7)
    (claim,) = tasks.get(1, lease_s=60)
    before = message(door, id_).lease_ends
    tasks.extend(claim, 600)
    after = message(door, id_).lease_ends
    assert before
    assert after
    assert (after - before).total_seconds() > 500
    tasks.release(claim)
    tasks.get(1, lease_s=60, owner="another")
    for verb in (tasks.success, tasks.fail, lambda one: tasks.extend(one, 60), tasks.release):
        with pytest.raises(ClaimLost):
            verb(claim)
    assert message(door, id_).owner == "another"
    with pytest.raises(UnknownTask):
        tasks.success("8")


def test_an_owner_alone_may_settle_by_the_id(service: QueueService, tasks: MessageTasks) -> None:
    id_ = start(service, 7)
    tasks.get(1, lease_s=60, owner="ann")
    with pytest.raises(ClaimLost):
        tasks.success(id_, owner="bob")
    tasks.success(id_, owner="ann")
    assert message(service, id_).state is State.DONE


def test_what_runs_is_listed_page_by_page_for_its_cluster_alone(door: Door) -> None:
    arm, none = MessageTasks(door, "arm"), MessageTasks(door)
    ids = {start(door, n, cluster="arm") for n in range(1, 6)}
    start(door, 9)
    arm.get(5, lease_s=60)
    none.get(1, lease_s=60)
    assert set(arm.lookup_state(Stage.PROCESSING)) == ids
    page = arm.lookup_state(Stage.PROCESSING, limit=3)
    rest = arm.lookup_state(Stage.PROCESSING, limit=3, after=page.next)
    assert (len(page), len(rest), rest.next) == (3, 2, None)
    assert {*page, *rest} == ids


def test_states_are_stages_to_a_worker(service: QueueService, tasks: MessageTasks) -> None:
    for build in (1, 2):
        start(service, build, job=7)
    start(service, 3)
    service.call(Stop(build_id=3))
    (claim,) = tasks.get(1, lease_s=60)
    assert claim.id == "1"
    wait_until(lambda: tasks.sizes()["PROCESSING"] == 1, 10)
    assert tasks.sizes() == {"WAITING": 1, "PROCESSING": 1, "SUCCESS": 0, "FAIL": 1}
    stages = [tasks.lookup_status(id_) for id_ in ("1", "2", "3")]
    assert stages == [Stage.PROCESSING, Stage.WAITING, Stage.FAIL]


def test_what_only_a_store_can_do_is_refused_in_words(tasks: MessageTasks) -> None:
    for verb in (
        lambda: tasks.put({"1": {}}),
        lambda: tasks.peek(),
        lambda: tasks.purge(timedelta()),
        lambda: tasks.refuse("1", reason="no"),
        lambda: tasks.lookup_state(Stage.WAITING),
    ):
        with pytest.raises(BadTask, match="Messages of the queue service are not"):
            verb()
    with pytest.raises(BadTask, match="has a lease"):
        tasks.get()


class Lossy:
    """A door that closes before one of its answers."""

    def __init__(self, door: Door) -> None:
        self._door, self.closes_at = door, 0

    def call(self, operation: Any) -> Any:
        if type(operation).__name__ == "Ack":
            self.closes_at -= 1
            if self.closes_at == 0:
                raise StoreUnreachable("The store is away.")
        return self._door.call(operation)


def test_many_settled_when_the_store_goes_are_settled_when_it_is_back(
    service: QueueService,
) -> None:
    lossy = Lossy(service)
    tasks = MessageTasks(lossy)
    for build in range(1, 5):
        start(service, build)
    outcomes = [Success(claim) for claim in tasks.get(4, lease_s=60)]
    lossy.closes_at = 3
    with pytest.raises(StoreUnreachable):
        tasks.settle(outcomes)
    assert tasks.settle(outcomes) == {}
    assert all(message(service, f"{n}").state is State.DONE for n in range(1, 5))


# --- Under a work queue -----------------------------------------------------------------------


def test_a_work_queue_is_given_nothing_that_is_blocked(
    service: QueueService, tasks: MessageTasks
) -> None:
    worker = DummyWorker()
    work = WorkQueue(tasks, worker)
    first, second = start(service, 1, job=7), start(service, 2, job=7)
    assert [claim.id for claim in ReleaseAll().release_next_jobs(work)] == [first]
    assert work.push_next_jobs(5) == []
    worker.mock_success(first)
    assert work.update_job_status() == {first: Stage.SUCCESS}
    assert [claim.id for claim in work.push_next_jobs(5)] == [second]


def test_a_build_that_was_stopped_while_it_ran_is_not_taken_for_done(door: Door) -> None:
    tasks = MessageTasks(door)
    worker = DummyWorker()
    work = WorkQueue(tasks, worker)
    id_ = start(door, 1)
    work.push_next_jobs()
    door.call(Stop(build_id=1))
    worker.mock_success(id_)
    assert work.update_job_status() == {}
    assert message(door, id_).state is State.STOPPED
    assert worker.jobs == {}


def test_a_build_that_was_stopped_is_stopped_at_the_worker_too(
    service: QueueService, tasks: MessageTasks
) -> None:
    worker = DummyWorker()
    work = WorkQueue(tasks, worker, lease_s=0.5)
    id_ = start(service, 1)
    work.push_next_jobs()
    assert worker.jobs.keys() == {id_}
    service.call(Stop(build_id=1))
    wait_until(lambda: work.update_job_status() or not worker.jobs, 30)
    assert message(service, id_).state is State.STOPPED


def test_the_next_of_a_controllers_lives_takes_up_what_it_has_claimed(door: Door) -> None:
    worker = DummyWorker()
    for build in (1, 2, 3):
        start(door, build)
    WorkQueue(MessageTasks(door), worker, controller="ann").push_next_jobs(3)
    again = WorkQueue(MessageTasks(door), worker, controller="ann")
    worker.mock_success("1")
    worker.mock_fail("2", reason="No!")
    assert again.update_job_status() == {"1": Stage.SUCCESS, "2": Stage.FAIL}
    assert again.jobs.keys() == {"3"}
    assert message(door, "2").attempts == 1


def test_a_limit_counts_what_others_run(service: QueueService, tasks: MessageTasks) -> None:
    for build in range(1, 5):
        start(service, build)
    tasks.get(1, lease_s=60, owner="another")
    work = WorkQueue(tasks, DummyWorker())
    assert len(ProcessingLimit(3).release_next_jobs(work)) == 2


# --- Dispatch ---------------------------------------------------------------------------------


SCRIPTS = {
    "quick.py": "print('built')",
    "bad.py": "import sys; print('no such file'); sys.exit(3)",
    "slow.py": "import time; time.sleep(600)",
}


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    folder.mkdir()
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text)
    return folder


@contextmanager
def dispatching(door: Door, worker_for: Any, **settings: Any) -> Iterator[None]:
    """A dispatcher, for as long as the block."""
    stop = StopWish()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            dispatch(door, worker_for, stop, **{"look_s": 0.05, **settings})
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.want()
        thread.join(30)
    assert not thread.is_alive()
    assert not failed


def test_builds_run_as_scripts_and_one_that_is_stopped_is_ended(
    service: QueueService, scripts: Path, tmp_path: Path
) -> None:
    quick = start(service, 1, body={"file_name": "quick.py"})
    bad = start(service, 2, body={"file_name": "bad.py"}, max_attempts=1)
    slow = start(service, 3, body={"file_name": "slow.py"})
    after = start(service, 4, job=3, body={"file_name": "quick.py"})
    workers = process_workers(scripts, state=tmp_path / "state")
    with dispatching(service, workers, lease_s=6):
        wait_until(lambda: message(service, quick).state is State.DONE, 30)
        wait_until(lambda: message(service, bad).state is State.FAILED, 30)
        assert message(service, slow).state is State.RUNNING
        assert message(service, after).state is State.BLOCKED
        service.call(Stop(build_id=3))
        wait_until(lambda: message(service, after).state is State.DONE, 30)
    result = message(service, quick).result
    assert result == {"exit_code": 0, "output": "built"}
    assert "no such file" in message(service, bad).reason
    assert message(service, slow).state is State.STOPPED


class Away(DummyWorker):
    """A backend that nobody can reach."""

    def poll_all_status(self) -> dict[str, Stage]:
        raise WorkerUnreachable("Nobody is there.")


class Quick(DummyWorker):
    """Jobs that are done as soon as they are sent."""

    def send_job(self, queue_item_id: str, queue_item_body: Any, /) -> None:
        super().send_job(queue_item_id, queue_item_body)
        self.mock_success(queue_item_id)


def test_a_cluster_whose_worker_is_away_keeps_no_other_waiting(service: QueueService) -> None:
    away = start(service, 1, cluster="arm")
    there = [start(service, n, cluster="x86") for n in (2, 3, 4)]
    looks: list[tuple[str, Round]] = []

    def worker_for(cluster: str) -> Worker:
        return Away() if cluster == "arm" else Quick()

    with dispatching(
        service, worker_for, clusters=("arm", "x86"), tell=lambda *look: looks.append(look)
    ):
        wait_until(lambda: all(message(service, id_).state is State.DONE for id_ in there), 30)
    assert message(service, away).state is State.QUEUED
    assert message(service, away).attempts == 0
    assert {cluster for cluster, look in looks if look.trouble} == {"arm"}


def test_no_more_of_a_cluster_run_than_the_limit(service: QueueService) -> None:
    for build in range(1, 6):
        start(service, build)
    worker = DummyWorker()
    most = 0

    def tell(_cluster: str, look: Round) -> None:
        nonlocal most
        most = max(most, look.processing)
        for id_ in list(worker.jobs):
            worker.mock_success(id_)

    with dispatching(service, lambda _: worker, limit=2, tell=tell):
        wait_until(
            lambda: all(message(service, f"{n}").state is State.DONE for n in range(1, 6)),
            30,
        )
    assert most == 2


def test_a_service_that_is_away_is_waited_for(service: QueueService) -> None:
    port = free_port()
    client = QueueServiceClient(f"127.0.0.1:{port}", retries=0)
    with client, dispatching(client, lambda _: Quick()):
        with serving(create_app(service), port=port):
            first = start(service, 1)
            wait_until(lambda: message(service, first).state is State.DONE, 30)
        second = start(service, 2)
        with serving(create_app(service), port=port):
            wait_until(lambda: message(service, second).state is State.DONE, 30)


def test_a_service_that_lets_us_in_no_more_ends_it_with_its_words(
    service: QueueService, tmp_path: Path
) -> None:
    file = tmp_path / "passwords"
    file.write_text("# nobody\n")
    guarded = create_app(service, authenticator=Authenticator(passwords=PasswordFile(file)))
    with (
        serving(guarded) as url,
        QueueServiceClient(url) as client,
        pytest.raises(Unauthorised, match="Missing authentication"),
    ):
        dispatch(client, lambda _: Quick(), StopWish())


def test_what_can_not_be_dispatched_is_refused(service: QueueService) -> None:
    wrong: list[dict[str, Any]] = [{"clusters": ()}, {"clusters": ("a", "a")}, {"limit": 0}]
    for settings in [*wrong, {"look_s": 0}]:
        with pytest.raises(BadInput) as refused:
            dispatch(service, lambda _: Quick(), StopWish(), **settings)
        assert refused.value.remedy


def test_each_cluster_has_a_backend_of_its_own(tmp_path: Path) -> None:
    kinds: list[Callable[[str], Restartable]] = [
        rabbit_workers("amqp://localhost", name="ann"),
        process_workers(tmp_path, state=tmp_path / "state"),
        argo_workers("https://argo.example.org", "builds", name="ann"),
    ]
    for kind in kinds:
        backends = {kind(cluster).backend for cluster in ("", "arm", "x86", "../arm", "..")}
        assert len(backends) == 5
