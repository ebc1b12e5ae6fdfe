"""Two controllers, each a process, on one queue: one is killed again and again, and comes back."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from textwrap import dedent

import pytest

from labs.task_queue.queue import TaskQueue
from labs.task_queue.release import ProcessingLimit
from labs.task_queue.stages import Stage
from labs.task_queue.work_queue import WorkQueue
from labs.task_queue.workers.process import ProcessWorker
from labs.waiting import wait_until
from tests.task_queue.stores import Store

TASKS, KILLS = 16, 4
SCRIPT = """
    import os, pathlib, sys, time
    runs = pathlib.Path(sys.argv[1])
    with runs.open("a") as file:
        file.write(os.environ["TASK_ID"] + "\\n")
    time.sleep(0.3)
    sys.exit(int(sys.argv[2]))
"""


def control(opener: Callable[[], TaskQueue], scripts: Path, state: Path) -> None:
    """What a controller does, until it is killed."""
    with opener() as queue:
        work = WorkQueue(queue, ProcessWorker(scripts, state=state))
        while True:
            work.update_job_status()
            ProcessingLimit(3, own=True).release_next_jobs(work)
            time.sleep(0.02)


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_a_controller_killed_at_random_loses_nothing_and_harms_nobody(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store: Store = request.getfixturevalue(f"{name}_store")
    queue = store.open()
    runs = tmp_path / "runs"
    (tmp_path / "task.py").write_text(dedent(SCRIPT))
    queue.put(
        {
            f"task {n}": {"file_name": "task.py", "args": [str(runs), str(n % 3)]}
            for n in range(TASKS)
        }
    )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # to begin anew takes no time then

    def start(state: str) -> BaseProcess:
        process = context.Process(target=control, args=[store.opener, tmp_path, tmp_path / state])
        process.start()
        return process

    def settled() -> int:
        return queue.size(Stage.SUCCESS) + queue.size(Stage.FAIL)

    mortal, other = start("mortal"), start("other")
    chance = random.Random(5)
    try:
        for kill in range(KILLS):
            enough = (kill + 1) * TASKS // (KILLS + 3)
            wait_until(lambda enough=enough: settled() >= enough, 60)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.2))  # not for something to come true: to die anywhere
            mortal.kill()
            mortal.join()
            mortal = start("mortal")
        wait_until(lambda: settled() == TASKS, 60)
    finally:
        for process in (mortal, other):
            process.kill()
            process.join()
    for n in range(TASKS):
        task = queue.lookup_task(f"task {n}")
        assert task.stage is (Stage.FAIL if n % 3 else Stage.SUCCESS), task
        assert task.attempts == 1, task
        if n % 3:  # no other reason than its own
            assert task.reason.startswith(f"Exit code {n % 3}."), task
    # Each has run once: jobs in flight when their controller died were found, not started anew.
    assert sorted(runs.read_text().split("\n")[:-1]) == sorted(f"task {n}" for n in range(TASKS))
