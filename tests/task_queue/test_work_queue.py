"""The work queue: starting jobs, settling them, and keeping its hands off what is not its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from labs.errors import LabError
from labs.task_queue.errors import BadTask, StoreUnreachable, UnknownTask
from labs.task_queue.memory import MemoryQueue, MemoryTasks
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim, Json
from labs.task_queue.work_queue import SET_ASIDE_S, TRIES, VANISHED, WorkQueue
from labs.task_queue.workers.base import JobRefused, Report, WorkerUnreachable
from labs.task_queue.workers.dummy import DummyWorker
from labs.waiting import wait_until

SIX = {f"task {n}": {"n": n} for n in range(6)}


class Touchy(DummyWorker):
    """A backend that goes wrong as told, and that a next controller finds as it was left."""

    backend = "touchy"

    def __init__(self) -> None:
        super().__init__()
        self.wrong: dict[tuple[str, str], Exception] = {}
        """What to raise, by verb and id."""
        self.calls: list[tuple[str, str]] = []
        self.taken_up: tuple[list[str], list[str]] = ([], [])

    def take_up(self, sent: Collection[str], doubtful: Collection[str]) -> None:
        self.taken_up = list(sent), list(doubtful)

    def send_job(self, id_: str, body: Json, /) -> None:
        self._trip("send", id_)
        super().send_job(id_, body)
        self._trip("sent", id_)

    def delete_job(self, id_: str, /) -> None:
        self._trip("delete", id_)
        super().delete_job(id_)

    def explain(self, id_: str, /) -> Report:
        self._trip("explain", id_)
        return super().explain(id_)

    def _trip(self, verb: str, id_: str) -> None:
        self.calls.append((verb, id_))
        if (verb, id_) in self.wrong:
            raise self.wrong[verb, id_]


@pytest.fixture
def tasks() -> MemoryTasks:
    return MemoryTasks()


@pytest.fixture
def queue(tasks: MemoryTasks) -> MemoryQueue:
    queue = MemoryQueue(tasks)
    queue.put(SIX)
    return queue


@pytest.fixture
def worker() -> Touchy:
    return Touchy()


@pytest.fixture
def work(queue: MemoryQueue, worker: Touchy) -> WorkQueue:
    return WorkQueue(queue, worker, first_pause_s=0)


def reopened(work: WorkQueue, **settings: Any) -> WorkQueue:
    """The next controller of the same id, on the same backend."""
    return WorkQueue(
        work.queue, work.worker, controller=work.controller, first_pause_s=0, **settings
    )


def stages(queue: TaskQueue) -> dict[str, int]:
    return {name: n for name, n in queue.sizes().items() if n}


# --- What people know -------------------------------------------------------------------------


def test_one_job_is_pushed_unless_more_are_asked_for(work: WorkQueue) -> None:
    assert work.push_next_jobs() == [("task 0", {"n": 0})]
    assert work.push_next_jobs(3) == [(f"task {n}", {"n": n}) for n in (1, 2, 3)]
    assert work.push_next_jobs(10) == [("task 4", {"n": 4}), ("task 5", {"n": 5})]
    assert work.push_next_jobs(10) == []
    assert work.get_queue_size(Stage.PROCESSING) == 6


def test_no_jobs_can_be_asked_for_but_not_fewer(work: WorkQueue) -> None:
    assert work.push_next_jobs(0) == []
    with pytest.raises(BadTask):
        work.push_next_jobs(-1)


def test_jobs_that_end_are_settled_and_those_that_run_are_left(
    work: WorkQueue, worker: Touchy
) -> None:
    work.push_next_jobs(3)
    worker.mock_success("task 0", result={"answer": 42})
    worker.mock_fail("task 1", reason="No disk.")
    assert work.update_job_status() == {"task 0": Stage.SUCCESS, "task 1": Stage.FAIL}
    assert stages(work.queue) == {"WAITING": 3, "PROCESSING": 1, "SUCCESS": 1, "FAIL": 1}
    assert work.queue.lookup_task("task 0").result == {"answer": 42}
    assert work.queue.lookup_task("task 1").reason == "No disk."


def test_jobs_that_were_settled_are_deleted(work: WorkQueue, worker: Touchy) -> None:
    work.push_next_jobs(3)
    worker.mock_success("task 0")
    worker.mock_fail("task 1")
    work.update_job_status()
    assert worker.poll_all_status() == {"task 2": Stage.PROCESSING}


def test_to_update_twice_is_harmless(work: WorkQueue, worker: Touchy) -> None:
    work.push_next_jobs(2)
    worker.mock_success("task 0")
    work.update_job_status()
    before = stages(work.queue)
    assert work.update_job_status() == {}
    assert stages(work.queue) == before


def test_a_job_that_the_worker_does_not_know_any_more_has_failed(
    work: WorkQueue, worker: Touchy
) -> None:
    work.push_next_jobs(2)
    del worker.jobs["task 0"]
    assert work.update_job_status() == {"task 0": Stage.FAIL}
    assert work.queue.lookup_task("task 0").reason == VANISHED


def test_a_job_that_is_refused_fails_with_the_reason_and_others_go_on(
    work: WorkQueue, worker: Touchy
) -> None:
    worker.wrong["send", "task 1"] = JobRefused("It has no legs.")
    worker.wrong["send", "task 2"] = KeyError("file_name")
    assert [id_ for id_, _ in work.push_next_jobs(4)] == ["task 0", "task 3"]
    assert work.queue.lookup_task("task 1").reason == "The job can't be run: It has no legs."
    assert "KeyError: 'file_name'" in work.queue.lookup_task("task 2").reason
    assert stages(work.queue) == {"WAITING": 2, "PROCESSING": 2, "FAIL": 2}


def test_a_worker_of_three_methods_will_do(queue: MemoryQueue) -> None:
    class Plain:
        def __init__(self) -> None:
            self.jobs: dict[str, Stage] = {}

        def send_job(self, item_id: str, queue_item_body: Json, /) -> None:
            queue_item_body["scribbled"] = True
            self.jobs[item_id] = Stage.FAIL

        def poll_all_status(self) -> dict[str, Stage]:
            return self.jobs

        def delete_job(self, queue_item_id: str, /) -> None:
            del self.jobs[queue_item_id]

    work = WorkQueue(queue, Plain())
    assert work.push_next_jobs() == [("task 0", {"n": 0})]  # the body is nobody's to change
    assert work.update_job_status() == {"task 0": Stage.FAIL}
    assert queue.lookup_item("task 0")["item_body"] == {"n": 0}
    assert work.worker.poll_all_status() == {}


def test_a_failed_job_with_attempts_left_waits_again(worker: Touchy) -> None:
    queue = MemoryQueue()
    queue.put({"task": None}, max_attempts=2, backoff_s=0)
    work = WorkQueue(queue, worker)
    for left in ("WAITING", "FAIL"):
        work.push_next_jobs()
        worker.mock_fail("task")
        work.update_job_status()
        assert stages(queue) == {left: 1}


# --- Its own, and others' ---------------------------------------------------------------------


def test_controllers_never_touch_each_others_work(queue: MemoryQueue, tasks: MemoryTasks) -> None:
    one, other = DummyWorker(), DummyWorker()
    ours, theirs = WorkQueue(queue, one), WorkQueue(MemoryQueue(tasks), other)
    assert ours.controller != theirs.controller
    ours.push_next_jobs(3)
    theirs.push_next_jobs(2)
    assert theirs.update_job_status() == ours.update_job_status() == {}
    one.mock_success("task 0")
    other.jobs["task 0"] = Stage.FAIL  # it says so of a job that is not its own
    assert theirs.update_job_status() == {}
    assert stages(queue) == {"WAITING": 1, "PROCESSING": 5}
    assert ours.update_job_status() == {"task 0": Stage.SUCCESS}


def test_what_somebody_claims_by_hand_is_not_the_controllers(work: WorkQueue) -> None:
    work.queue.get(2)
    work.push_next_jobs()
    assert work.update_job_status() == {}
    assert stages(work.queue) == {"WAITING": 3, "PROCESSING": 3}


def test_nobody_else_can_settle_a_controllers_task(work: WorkQueue) -> None:
    work.push_next_jobs()
    with pytest.raises(LabError, match="has claimed it"):
        work.queue.success("task 0")


def test_a_worker_that_can_be_found_again_gives_the_controller_its_id(
    queue: MemoryQueue, worker: Touchy
) -> None:
    assert WorkQueue(queue, worker).controller == "touchy"
    assert WorkQueue(queue, worker, controller="another").controller == "another"


# --- A controller that dies -------------------------------------------------------------------


def test_a_restarted_controller_takes_up_its_own(work: WorkQueue, worker: Touchy) -> None:
    work.push_next_jobs(3)
    work.queue.get(1, owner="somebody else")
    worker.mock_success("task 0", result="done while nobody looked")
    again = reopened(work)
    assert again.update_job_status() == {"task 0": Stage.SUCCESS}
    assert work.queue.lookup_task("task 0").result == "done while nobody looked"
    assert stages(work.queue) == {"WAITING": 2, "PROCESSING": 3, "SUCCESS": 1}
    assert worker.taken_up == (["task 0", "task 1"], ["task 2"])
    assert worker.calls.count(("send", "task 2")) == 1  # those that run are left to run
    worker.mock_success("task 1")
    worker.mock_success("task 2")
    assert again.update_job_status() == {"task 1": Stage.SUCCESS, "task 2": Stage.SUCCESS}


def test_of_what_it_takes_up_what_was_sent_and_is_gone_has_failed(
    work: WorkQueue, worker: Touchy
) -> None:
    work.push_next_jobs(3)
    del worker.jobs["task 0"]
    again = reopened(work)
    assert again.update_job_status() == {"task 0": Stage.FAIL}
    assert again.jobs.keys() == {"task 1", "task 2"}


def test_a_task_that_was_claimed_and_not_sent_waits_again(work: WorkQueue, worker: Touchy) -> None:
    work.push_next_jobs(2)
    # The controller dies between its claim and its call of the worker.
    work.queue.get(1, owner=work.controller)
    again = reopened(work)
    assert again.update_job_status() == {}
    assert stages(work.queue) == {"WAITING": 4, "PROCESSING": 2}
    assert again.push_next_jobs() == [("task 2", {"n": 2})]
    assert work.queue.lookup_task("task 2").attempts == 1
    worker.mock_success("task 2")
    assert again.update_job_status() == {"task 2": Stage.SUCCESS}


def test_a_job_that_was_settled_and_not_deleted_is_deleted_by_the_next(
    work: WorkQueue, worker: Touchy
) -> None:
    work.push_next_jobs(2)
    worker.mock_success("task 0")
    # The controller dies between settling and deleting.
    worker.wrong["delete", "task 0"] = RuntimeError("killed")
    work.update_job_status()
    worker.wrong.clear()
    reopened(work).update_job_status()
    assert worker.poll_all_status() == {"task 1": Stage.PROCESSING}


def test_jobs_that_are_not_of_this_queue_are_left_alone(work: WorkQueue, worker: Touchy) -> None:
    worker.jobs |= {"of another queue": Stage.SUCCESS, "task 5": Stage.SUCCESS}
    work.update_job_status()
    assert worker.jobs.keys() == {"of another queue", "task 5"}


def test_what_is_left_of_an_earlier_attempt_is_not_taken_for_this_one(
    work: WorkQueue, worker: Touchy
) -> None:
    worker.jobs["task 0"] = Stage.SUCCESS
    work.push_next_jobs()
    assert worker.calls[-2:] == [("send", "task 0"), ("sent", "task 0")]
    assert worker.calls[0] == ("delete", "task 0")
    assert work.update_job_status() == {}


def test_a_claim_whose_answer_was_lost_is_found_and_waits_again(
    work: WorkQueue, worker: Touchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.push_next_jobs()
    get = work.queue.get

    def cut(*arguments: Any, **options: Any) -> list[Claim]:
        get(*arguments, **options)
        raise StoreUnreachable("The connection was lost.")

    with monkeypatch.context() as patch:
        patch.setattr(work.queue, "get", cut)
        with pytest.raises(StoreUnreachable):
            work.push_next_jobs()
    assert stages(work.queue) == {"WAITING": 4, "PROCESSING": 2}
    del worker.jobs["task 0"]  # that it was sent is known all the same
    assert work.update_job_status() == {"task 0": Stage.FAIL}
    assert stages(work.queue) == {"WAITING": 5, "FAIL": 1}
    assert work.push_next_jobs() == [("task 1", {"n": 1})]


def test_a_task_for_which_nobody_could_say_whether_there_is_room_is_not_sent(
    work: WorkQueue, worker: Touchy
) -> None:
    def lost(_: Claim) -> bool:
        raise StoreUnreachable("The connection was lost.")

    with pytest.raises(StoreUnreachable):
        work.push_while(lambda: True, lost)
    work.update_job_status()
    assert worker.jobs == {}
    assert stages(work.queue) == {"WAITING": 6}


def test_a_store_that_is_out_of_reach_when_a_job_is_settled_loses_nothing(
    work: WorkQueue, worker: Touchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.push_next_jobs(2)
    worker.mock_success("task 0")
    worker.mock_fail("task 1")
    settle = work.queue.settle

    def cut(*arguments: Any) -> None:
        settle(*arguments)
        raise StoreUnreachable("The connection was lost.")

    with monkeypatch.context() as patch:
        patch.setattr(work.queue, "settle", cut)
        with pytest.raises(StoreUnreachable):
            work.update_job_status()
    assert work.update_job_status() == {}  # they were settled before the answer was lost
    assert stages(work.queue) == {"WAITING": 4, "SUCCESS": 1, "FAIL": 1}
    assert worker.poll_all_status() == {}


# --- A worker that is out of reach ------------------------------------------------------------


def test_no_task_fails_for_a_worker_that_is_out_of_reach(work: WorkQueue, worker: Touchy) -> None:
    work.push_next_jobs(2)
    worker.down = True
    for _ in range(10):
        assert work.update_job_status() == {}
        assert work.push_next_jobs(3) == []
    assert "plays dead" in work.trouble
    worker.down = False
    assert work.update_job_status() == {}
    assert work.trouble == ""
    assert len(work.push_next_jobs(3)) == 3
    assert stages(work.queue) == {"WAITING": 1, "PROCESSING": 5}


def test_it_is_asked_again_after_pauses_that_grow(
    queue: MemoryQueue, worker: Touchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    work = WorkQueue(queue, worker, first_pause_s=1, longest_pause_s=5)
    worker.down = True
    pauses = []
    for _ in range(5):
        work.update_job_status()
        pauses.append(work.resting_s)
        work.update_job_status()  # it is not asked meanwhile
        assert work.resting_s == pauses[-1]
        now_s += pauses[-1]
    assert pauses == [1, 2, 4, 5, 5]
    worker.down = False
    assert len(work.push_next_jobs()) == 1
    assert work.resting_s == 0


@pytest.mark.parametrize("error", [WorkerUnreachable("Gone."), ConnectionError(), TimeoutError()])
def test_a_job_in_doubt_is_sent_again_unless_the_worker_has_it(
    work: WorkQueue, worker: Touchy, error: Exception
) -> None:
    worker.wrong["send", "task 0"] = worker.wrong["sent", "task 1"] = error
    assert work.push_next_jobs(3) == []
    assert stages(work.queue) == {"WAITING": 5, "PROCESSING": 1}  # and no other is claimed
    del worker.wrong["send", "task 0"]
    work.update_job_status()
    assert worker.jobs.keys() == {"task 0"}
    assert work.push_next_jobs(3) == []  # the answer was lost, but the worker has task 1
    assert [id_ for id_, _ in work.push_next_jobs(3)] == ["task 2", "task 3", "task 4"]
    assert worker.calls.count(("send", "task 1")) == 1


def test_a_task_that_alone_can_not_be_sent_is_set_aside_for_the_others(
    work: WorkQueue, worker: Touchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.task_queue.work_queue.PATIENT_S", 0)
    worker.wrong["send", "task 0"] = WorkerUnreachable("500.")
    for _ in range(TRIES + 1):
        work.push_next_jobs()
    assert "task 1" in worker.jobs
    task = work.queue.lookup_task("task 0")
    assert task.stage is Stage.WAITING
    assert task.attempts == 0
    assert (task.due - task.put_at).total_seconds() >= SET_ASIDE_S


def test_a_poll_that_fails_in_any_other_way_says_nothing_of_any_job(
    work: WorkQueue, worker: Touchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.push_next_jobs(2)
    monkeypatch.setattr(worker, "poll_all_status", lambda: {"task 0": "well done"})
    assert work.update_job_status() == {}
    assert "well done" in work.trouble
    assert stages(work.queue) == {"WAITING": 4, "PROCESSING": 2}


def test_a_job_that_can_not_be_deleted_keeps_no_other_from_being_settled(
    work: WorkQueue, worker: Touchy
) -> None:
    work.push_next_jobs(3)
    for id_ in list(worker.jobs):
        worker.mock_success(id_)
    worker.wrong["delete", "task 0"] = RuntimeError("It is stuck.")
    worker.wrong["delete", "task 1"] = WorkerUnreachable("It is away.")
    assert len(work.update_job_status()) == 3
    assert stages(work.queue) == {"WAITING": 3, "SUCCESS": 3}
    worker.wrong.clear()
    work.update_job_status()
    assert worker.poll_all_status() == {}


def test_trouble_with_one_job_keeps_no_other_from_being_started(
    work: WorkQueue, worker: Touchy
) -> None:
    work.push_next_jobs(2)
    worker.mock_success("task 0")
    worker.mock_success("task 1")
    worker.wrong["delete", "task 0"] = WorkerUnreachable("500.")
    worker.wrong["explain", "task 1"] = WorkerUnreachable("500.")
    again = WorkQueue(work.queue, worker, controller=work.controller, first_pause_s=3600)
    for _ in range(TRIES):
        again.update_job_status()
        assert len(again.push_next_jobs()) == 1
    assert stages(work.queue) == {"WAITING": 1, "PROCESSING": 3, "SUCCESS": 2}


def test_a_job_is_settled_when_the_worker_can_not_tell_what_came_of_it(
    work: WorkQueue, worker: Touchy
) -> None:
    work.push_next_jobs(2)
    worker.mock_success("task 0")
    worker.mock_success("task 1", result=b"no JSON")
    worker.wrong["explain", "task 0"] = OSError("No file.")
    assert len(work.update_job_status()) == 2
    assert work.queue.lookup_task("task 1").result == "b'no JSON'"


# --- Leases -----------------------------------------------------------------------------------


def test_leases_are_extended_while_jobs_run(queue: MemoryQueue, worker: Touchy) -> None:
    work = WorkQueue(queue, worker, lease_s=0.5)
    [claim] = work.push_next_jobs()
    first = claim.lease_ends
    assert first

    def is_extended() -> bool:
        work.update_job_status()
        ends = queue.lookup_task("task 0").lease_ends
        return bool(ends and (ends - first).total_seconds() > 1)

    wait_until(is_extended, 10)
    assert queue.lookup_task("task 0").attempts == 1


def test_when_a_controller_is_gone_for_good_its_tasks_wait_again(
    queue: MemoryQueue, worker: Touchy
) -> None:
    WorkQueue(queue, worker, lease_s=0.05).push_next_jobs(2)
    wait_until(lambda: queue.size(Stage.WAITING) == 6, 10)


def test_a_job_whose_claim_is_lost_counts_no_more(
    queue: MemoryQueue, worker: Touchy, tasks: MemoryTasks
) -> None:
    work = WorkQueue(queue, worker, lease_s=0.05)
    work.push_next_jobs(2)
    wait_until(lambda: queue.size(Stage.WAITING) == 6, 10)
    other = WorkQueue(MemoryQueue(tasks), DummyWorker())
    other.push_next_jobs()
    worker.mock_success("task 0")
    assert work.update_job_status() == {}
    assert work.jobs == {}
    assert worker.poll_all_status() == {}  # what runs for nothing is stopped
    assert queue.lookup_task("task 0").owner == other.controller


def test_a_lease_can_be_done_without(queue: MemoryQueue, worker: Touchy) -> None:
    [claim] = WorkQueue(queue, worker, lease_s=None).push_next_jobs()
    assert claim.lease_ends is None


def test_what_can_not_be_meant_is_refused(queue: MemoryQueue, worker: Touchy) -> None:
    for settings in ({"controller": ""}, {"lease_s": 0}, {"first_pause_s": -1}):
        with pytest.raises(BadTask):
            WorkQueue(queue, worker, **settings)


def test_a_task_that_is_purged_while_one_looks_is_not_counted(
    work: WorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.queue.get(1)

    def gone(id_: str) -> None:
        raise UnknownTask(f"No task has the id {id_}.")

    monkeypatch.setattr(work.queue, "lookup_task", gone)
    assert work.processing() == {}
