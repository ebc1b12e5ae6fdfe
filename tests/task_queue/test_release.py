"""Release strategies: what is started, what waits, and what can never be."""

from __future__ import annotations

import threading
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from labs.task_queue.errors import BadTask
from labs.task_queue.memory import MemoryQueue, MemoryTasks
from labs.task_queue.release import ProcessingLimit, ReleaseAll, ResourceLimit, Strategy
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim, Json
from labs.task_queue.work_queue import WorkQueue
from labs.task_queue.workers.dummy import DummyWorker


def needing(*amounts: object) -> dict[str, Json]:
    return {f"task {n}": {"resources": {"gpus": amount}} for n, amount in enumerate(amounts)}


def work_on(items: dict[str, Json]) -> WorkQueue:
    queue = MemoryQueue()
    queue.put(items)
    return WorkQueue(queue, DummyWorker())


def dummy(work: WorkQueue) -> DummyWorker:
    assert isinstance(work.worker, DummyWorker)
    return work.worker


def end(work: WorkQueue, id_: str) -> None:
    dummy(work).mock_success(id_)
    work.update_job_status()


def ids(claims: list[Claim]) -> list[str]:
    return [id_ for id_, _ in claims]


def test_release_all_starts_all_that_waits() -> None:
    work = work_on(needing(*range(7)))
    assert len(ReleaseAll().release_next_jobs(work)) == 7
    assert work.queue.sizes() == {"WAITING": 0, "PROCESSING": 7, "SUCCESS": 0, "FAIL": 0}


def test_release_all_ends_though_tasks_are_put_all_the_time() -> None:
    work = work_on({"first": 0})

    class Putting(DummyWorker):
        def send_job(self, id_: str, body: Json, /) -> None:
            super().send_job(id_, body)
            work.queue.put({f"after {id_}": 0})

    work._interface = Putting()
    assert ids(ReleaseAll().release_next_jobs(work)) == ["first"]


def test_a_processing_limit_tops_up_and_refills_and_is_never_exceeded() -> None:
    work = work_on(needing(*range(9)))
    limit = ProcessingLimit(3)
    assert len(limit.release_next_jobs(work)) == 3
    assert limit.release_next_jobs(work) == []
    end(work, "task 1")
    assert ids(limit.release_next_jobs(work)) == ["task 3"]
    assert work.get_queue_size(Stage.PROCESSING) == 3


def test_a_processing_limit_counts_what_others_work_on() -> None:
    work = work_on(needing(*range(9)))
    work.queue.get(2)
    assert len(ProcessingLimit(3).release_next_jobs(work)) == 1
    assert len(ProcessingLimit(3, own=True).release_next_jobs(work)) == 2


def test_above_the_limit_nothing_is_started_and_nothing_is_moved() -> None:
    work = work_on(needing(1, 1, 1, 1))
    ReleaseAll().release_next_jobs(work)
    work.queue.put({"more": {}, "and more": {"resources": {"gpus": 1}}})
    for strategy in (ProcessingLimit(2), ProcessingLimit(0), ResourceLimit({"gpus": 2})):
        assert strategy.release_next_jobs(work) == []
    assert work.queue.lookup_task("more").moves == 1  # not even claimed and handed back


def test_resources_are_given_out_while_the_sum_fits() -> None:
    work = work_on(needing(2, 1, 1, 1))
    limit = ResourceLimit({"gpus": 4})
    assert ids(limit.release_next_jobs(work)) == ["task 0", "task 1", "task 2"]
    assert limit.release_next_jobs(work) == []
    end(work, "task 2")
    assert ids(limit.release_next_jobs(work)) == ["task 3"]


@pytest.mark.parametrize("batch", [1, 2, 10])
def test_the_batch_size_changes_nothing(batch: int) -> None:
    work = work_on(needing(3, 9, 1, 2, "some", 1, 1))
    limit = ResourceLimit({"gpus": 5}, peek_batch_size=batch)
    assert ids(limit.release_next_jobs(work)) == ["task 0", "task 2"]
    end(work, "task 0")
    assert ids(limit.release_next_jobs(work)) == ["task 3", "task 5", "task 6"]
    assert limit.release_next_jobs(work) == []
    assert work.queue.sizes() == {"WAITING": 0, "PROCESSING": 4, "SUCCESS": 1, "FAIL": 2}


def test_a_task_that_is_too_large_for_ever_fails_with_a_reason_and_blocks_nobody() -> None:
    work = work_on(needing(1, 5, 1))
    assert ids(ResourceLimit({"gpus": 4}).release_next_jobs(work)) == ["task 0", "task 2"]
    failed = work.queue.lookup_task("task 1")
    assert (failed.stage, failed.attempts) == (Stage.FAIL, 0)
    assert failed.reason == "The task needs 5 of 'gpus', and there are 4 at most."


def test_a_large_task_has_its_turn_before_small_ones_behind_it() -> None:
    work = work_on(needing(3, 4, 1))
    limit = ResourceLimit({"gpus": 4})
    assert ids(limit.release_next_jobs(work)) == ["task 0"]
    end(work, "task 0")
    assert ids(limit.release_next_jobs(work)) == ["task 1"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"resources": None},
        {"resources": {}},
        {"resources": {"disks": 99}},
        "text",
        None,
        7,
        ["resources"],
    ],
)
def test_what_does_not_say_what_it_needs_needs_nothing(body: Json) -> None:
    work = work_on({"greedy": {"resources": {"gpus": 1}}, "modest": body})
    assert len(ResourceLimit({"gpus": 1, "tapes": 0}).release_next_jobs(work)) == 2


@pytest.mark.parametrize("amount", ["4Gi", None, True, -1, [1], {"n": 1}])
def test_what_says_it_in_no_number_fails_with_a_reason(amount: object) -> None:
    work = work_on(needing(amount, 1))
    assert ids(ResourceLimit({"gpus": 1}).release_next_jobs(work)) == ["task 1"]
    assert repr(amount) in work.queue.lookup_task("task 0").reason


def test_what_names_no_resources_where_it_should_fails_with_a_reason() -> None:
    work = work_on({"task": {"needs": "all"}, "other": {"resources": "all"}})
    limit = ResourceLimit({"gpus": 1}, resource_key="needs")
    assert ids(limit.release_next_jobs(work)) == ["other"]
    assert "'all'" in work.queue.lookup_task("task").reason


def test_fractions_add_up_and_huge_numbers_are_no_trouble() -> None:
    work = work_on(needing(0.1, 0.1, 0.1, 10**400))
    assert len(ResourceLimit({"gpus": 0.3}).release_next_jobs(work)) == 3
    assert work.queue.size(Stage.FAIL) == 1


def test_it_counts_what_others_work_on_whatever_they_have_started() -> None:
    work = work_on(needing(2, "some", 1, 1))
    work.queue.get(2)
    assert ids(ResourceLimit({"gpus": 3}).release_next_jobs(work)) == ["task 2"]
    assert ids(ResourceLimit({"gpus": 3}, own=True).release_next_jobs(work)) == ["task 3"]


@pytest.mark.parametrize("strategy", [ProcessingLimit(4), ResourceLimit({"gpus": 4})])
def test_several_controllers_keep_one_limit_together(strategy: Strategy) -> None:
    """Sent, and not yet settled, are never more than four, whoever sends."""
    tasks, lock = MemoryTasks(), threading.Lock()
    running = most = 0

    class Counting(DummyWorker):
        def send_job(self, id_: str, body: Json, /) -> None:
            nonlocal running, most
            super().send_job(id_, body)
            with lock:
                running += 1
                most = max(most, running)

    MemoryQueue(tasks).put(needing(*[1] * 60))
    failures: list[BaseException] = []

    def control() -> None:
        nonlocal running
        worker = Counting()
        work = WorkQueue(MemoryQueue(tasks), worker)
        try:
            while work.queue.size(Stage.SUCCESS) < 60:
                strategy.release_next_jobs(work)
                for id_ in worker.jobs:
                    worker.mock_success(id_)
                with lock:  # before it is settled: the count may be too low, never too high
                    running -= len(worker.jobs)
                work.update_job_status()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is seen
            failures.append(error)

    threads = [threading.Thread(target=control) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert 1 <= most <= 4


@pytest.mark.parametrize("strategy", [ProcessingLimit(1), ResourceLimit({"gpus": 1})])
def test_what_another_claims_in_between_is_counted_before_anything_is_sent(
    strategy: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = work_on(needing(1, 1))
    get = work.queue.get

    def too_late(*arguments: Any, **options: Any) -> list[Claim]:
        get(1)  # another's
        return get(*arguments, **options)

    monkeypatch.setattr(work.queue, "get", too_late)
    assert strategy.release_next_jobs(work) == []
    assert dummy(work).jobs == {}
    assert work.queue.sizes() == {"WAITING": 1, "PROCESSING": 1, "SUCCESS": 0, "FAIL": 0}
    assert work.queue.lookup_task("task 1").attempts == 0


def test_a_strategy_starts_nothing_while_the_worker_is_out_of_reach() -> None:
    work = work_on(needing(1, 1))
    dummy(work).down = True
    for strategy in (ReleaseAll(), ProcessingLimit(2), ResourceLimit({"gpus": 2})):
        assert strategy.release_next_jobs(work) == []
    assert work.queue.size(Stage.WAITING) == 2


def test_strategies_are_values() -> None:
    limits: dict[str, Any] = {"gpus": 2}
    limit = ResourceLimit(limits)
    limits["gpus"] = 99
    assert limit == ResourceLimit({"gpus": 2})
    with pytest.raises(FrozenInstanceError):
        limit.resource_key = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ProcessingLimit(-1),
        lambda: ProcessingLimit("10"),  # type: ignore[arg-type]
        lambda: ResourceLimit({"gpus": "2"}),  # type: ignore[dict-item]
        lambda: ResourceLimit([]),  # type: ignore[arg-type]
        lambda: ResourceLimit({}, peek_batch_size=0),
    ],
)
def test_what_can_not_be_meant_is_refused(make: Any) -> None:
    with pytest.raises(BadTask):
        make()
