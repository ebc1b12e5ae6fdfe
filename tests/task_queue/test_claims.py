"""Sixteen workers claim what there is at once: each task is handed out once, none is left.

They are processes; threads where the tasks are in one process's memory. `LABS_TEST_CLAIMS` says
how many tasks (20,000 where a claim is cheap; else 500, and 100 where it is dearest, so that the
tests end soon).
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from pathlib import Path

import pytest

from labs.task_queue.tasks import Success
from tests.task_queue.killing import Opener, processes
from tests.task_queue.stores import Store

WORKERS = 16
QUICK = ("memory", "sqlite", "postgres")
DEAR = {"events_s3": 100}
TIMEOUT_S = 240


def number_of_tasks(store: Store) -> int:
    """How many this store is tried with."""
    if given := os.environ.get("LABS_TEST_CLAIMS"):
        return int(given)
    return 20_000 if store.name in QUICK else DEAR.get(store.name, 500)


def claim_all(opener: Opener, folder: Path, worker: int) -> None:
    """Claim, in gulps of any size, and settle, until nothing is left; write down what it was."""
    rng = random.Random(worker)
    mine: list[str] = []
    with opener() as queue:
        while claims := queue.get(rng.randint(1, 40), lease_s=3600):
            mine += [claim.id for claim in claims]
            refused = queue.settle([Success(claim) for claim in claims])
            assert refused == {}, "each is its claimant's alone"
    (folder / str(worker)).write_text("\n".join(mine))


@pytest.mark.slow
def test_each_task_is_handed_out_once(store: Store, tmp_path: Path) -> None:
    queue, number = store.open(), number_of_tasks(store)
    for first in range(0, number, 1_000):
        queue.put({f"task-{n}": n for n in range(first, min(first + 1_000, number))})
    begin = processes().Process if store.survives else threading.Thread
    workers = [
        begin(target=claim_all, args=(store.opener, tmp_path, worker)) for worker in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(TIMEOUT_S)
    claimed = Counter(
        id_ for worker in range(WORKERS) for id_ in (tmp_path / str(worker)).read_text().split()
    )
    assert claimed == Counter(f"task-{n}" for n in range(number))
    assert queue.sizes() == {"WAITING": 0, "PROCESSING": 0, "SUCCESS": number, "FAIL": 0}
