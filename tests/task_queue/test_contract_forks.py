"""The contract of a handle that was used before a fork: parent and child may both go on with it."""

from __future__ import annotations

import os
import signal

import pytest

from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from tests.task_queue.conftest import STORES
from tests.task_queue.contract import TIMEOUT_S
from tests.task_queue.stores import Store

GIVEN_UP_S = 60
"""A child that hangs is ended."""
N = 3
SHARED = [name for name in STORES if name not in ("memory", "events_memory")]
"""A fork has its own memory."""


@pytest.mark.parametrize("store", SHARED, indirect=True)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_parent_and_child_both_use_the_handle_and_nothing_is_handed_out_twice(
    store: Store,
) -> None:
    queue = store.open()
    queue.put({f"warm {n}": n for n in range(N)})
    assert len(queue.get(N)) == N
    assert queue.get(1, wait_s=0.01) == [], "whoever has waited listens from now on"
    child = os.fork()
    if child == 0:
        signal.alarm(GIVEN_UP_S)
        try:
            work(queue)
            os._exit(0)
        finally:
            os._exit(1)
    queue.put({f"task {n}": n for n in range(2 * N)})
    work(queue)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert queue.size(Stage.SUCCESS) == 2 * N


def work(queue: TaskQueue) -> None:
    """Half of what there is to do."""
    for _ in range(N):
        (claim,) = queue.get(1, wait_s=TIMEOUT_S)
        queue.success(claim)
