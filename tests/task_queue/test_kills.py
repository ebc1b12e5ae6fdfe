"""Workers killed at any point of any verb: nothing is lost, nothing stuck, nothing handed to two.

`LABS_TEST_KILLS` says how often (200). Memory ends with its process: there the same verbs are
made by threads at once, and must leave things as well in order.
"""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from labs.task_queue.events_queue import EventQueue
from labs.task_queue.queue import TaskQueue
from labs.task_queue.replay import moves_of, replay
from labs.task_queue.stages import Stage
from labs.waiting import wait_until
from tests.task_queue.killing import (
    Crew,
    Journal,
    Worker,
    check_nothing_lost,
    check_one_owner_at_a_time,
    drain,
    stages,
    wait_until_all_leases_have_run_out,
)
from tests.task_queue.stores import Store

KILLS = int(os.environ.get("LABS_TEST_KILLS", "200"))
WHOLE = ("sqlite", "postgres", "s3")


pytestmark = pytest.mark.slow


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Where the workers write what they do."""
    return Journal(tmp_path / "journal")


def kills(store: Store) -> int:
    """How often: fewer where a store of the same make stands behind this one."""
    return KILLS if store.name in WHOLE else max(KILLS // 10, 10)


def worked(journal: Journal) -> bool:
    """Whether anybody has settled a task, and lived to tell."""
    return any(entry.get("did") == "succeed" for entry in journal.read())


def check(queue: TaskQueue, journal: Journal) -> None:
    """All that must hold when the workers have ended, however they did."""
    wait_until_all_leases_have_run_out(queue)
    entries, found = journal.read(), stages(queue)
    check_nothing_lost(entries, found)
    check_one_owner_at_a_time(entries)
    if isinstance(queue, EventQueue):
        check_events(queue, found)
    drain(queue)
    if isinstance(queue, EventQueue):
        check_events(queue, stages(queue))


def check_events(queue: EventQueue, found: dict[str, Stage]) -> None:
    """The events tell of every move once, and so of what is."""
    queue.recover()
    events = queue.events()
    assert replay(events) == found
    moves = moves_of(events)
    assert len(moves) == len({(move.id, move.number) for move in moves}) == len(events)
    assert len(moves) == sum(queue.lookup_task(id_).moves for id_ in found)


def test_workers_killed_at_any_point_lose_nothing(store: Store, journal: Journal) -> None:
    queue = store.open()
    if not store.survives:
        run_threads(store, journal)
    else:
        crew = Crew(store.opener, journal)
        crew.kill(kills(store), pause_s=store.kill_pause_s)
        wait_until(lambda: worked(journal), 60, what="a worker to live until it has settled a task")
        crew.close()
    assert worked(journal)
    check(queue, journal)


def test_a_purge_killed_at_any_point_takes_only_what_is_settled(
    store: Store, journal: Journal
) -> None:
    if not store.survives:
        return
    queue = store.open()
    queue.put({f"done/{n}": n for n in range(50)})
    queue.put({f"waits/{n}": n for n in range(50)})
    for claim in queue.get(50):
        queue.success(claim)
    crew = Crew(store.opener, journal, size=2, only="purge_all")
    crew.kill(max(kills(store) // 20, 3), pause_s=store.kill_pause_s)
    crew.close()
    assert queue.purge(timedelta()) <= 50
    assert queue.sizes() == {"WAITING": 50, "PROCESSING": 0, "SUCCESS": 0, "FAIL": 0}
    if isinstance(queue, EventQueue):
        queue.recover()
        assert replay(queue.events()) == stages(queue)


def run_threads(store: Store, journal: Journal) -> None:
    """Workers that are not killed, but all are there at once, until enough was done."""
    workers = [Worker(store.open(), journal.page(seed), seed) for seed in range(4)]
    verbs = iter(range(2_000))
    threads = [
        threading.Thread(target=worker.run, args=[lambda: next(verbs, None) is None])
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.page.close()
