"""Who follows a queue's events, from the last one he knows on, misses none that comes late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta

import psycopg
import pytest

from labs.task_queue import sql_events
from labs.task_queue.events import Event
from labs.task_queue.events_queue import EventQueue, with_events
from labs.task_queue.sql import SqlQueue
from labs.task_queue.sql_events import SqlEventStore
from labs.task_queue.stages import Stage
from labs.waiting import wait_until
from tests.task_queue.contract import HOUR_S, TIMEOUT_S


class Follower:
    """Asks for the moves again and again, each time from the last one that it knows on."""

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue
        self._last: datetime | None = None
        self.seen: list[int] = []

    def look(self) -> list[str]:
        """Of which tasks there are new moves."""
        new = self._queue.event_store.get(self._queue.move_event_name, self._last)
        self._last = new[-1].time if new else self._last
        self.seen += [event.id or 0 for event in new]
        return [event.data["queue_index_key"] for event in new]


@pytest.fixture
def opener(fresh_database: str) -> Iterator[Callable[[], EventQueue]]:
    """Opens handles on one queue in PostgreSQL, with its events beside it."""
    with ExitStack() as stack:

        def opened() -> EventQueue:
            queue = stack.enter_context(SqlQueue.connect(fresh_database, "followed"))
            return with_events(queue, SqlEventStore(queue.database), "followed")

        yield opened


def test_what_is_later_than_a_move_that_is_being_made_is_shown_after_it(
    opener: Callable[[], EventQueue], fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_events, "PATIENCE_S", 0.05)
    queue, other = opener(), opener()
    queue.put({"slow": 1, "quick": 2})
    slow, quick = queue.get(2, lease_s=HOUR_S, owner="me")
    follower = Follower(queue)
    assert set(follower.look()) == {"slow", "quick"}
    with psycopg.connect(fresh_database) as blocker, psycopg.connect(fresh_database) as looker:
        blocker.execute("SELECT 1 FROM lab_tasks WHERE id = 'slow' FOR UPDATE")
        thread = threading.Thread(target=other.success, args=[slow])
        thread.start()
        wait_until(
            lambda: looker.execute(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype <> 'advisory'"
            ).fetchone(),
            TIMEOUT_S,
            what="the slow one to have begun",
        )
        queue.success(quick)
        assert queue.lookup_status("quick") is Stage.SUCCESS
        assert follower.look() == [], "the slow one began earlier, and is not there yet"
        blocker.rollback()
        thread.join()
    assert follower.look() == ["slow", "quick"]


def test_a_follower_hears_of_each_move_of_many_workers_once(
    opener: Callable[[], EventQueue],
) -> None:
    queues, at_work = [opener() for _ in range(4)], threading.Event()
    follower = Follower(opener())

    def work(queue: EventQueue, name: int) -> None:
        for n in range(40):
            queue.put({f"{name} {n}": n})
            for claim in queue.get(1, lease_s=HOUR_S):
                queue.success(claim)

    threads = [threading.Thread(target=work, args=[one, n]) for n, one in enumerate(queues)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        follower.look()
        at_work.wait(0.001)
    follower.look()
    told = [event.id for event in queues[0].event_store.get(queues[0].move_event_name)]
    assert len(told) == 2 * 160
    assert follower.seen == told, "in their order, none missing, none twice"


def test_an_event_of_a_clock_that_is_ahead_is_there_at_once(
    opener: Callable[[], EventQueue],
) -> None:
    store = opener().event_store
    store.add(Event("door", time=Event("now").time + timedelta(hours=1)))
    assert len(store.get("door")) == 1
