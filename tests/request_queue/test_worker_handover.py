"""A partition passes to another replica in mid-work: cleanly, or at least without a commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from labs.request_queue import MemoryLog, What
from labs.request_queue.memory import partition_of
from labs.waiting import wait_until
from tests.request_queue.replica import FAILED, RESPONSES, RefusingLog, Replica

THAT_MOVES = next(f"id {n}" for n in range(1000) if partition_of(b"id %d" % n, 2) == 1)
"""A second replica gets the upper half of the partitions: here, the second of two."""


class Slow:
    """A handler that works until it is told to end."""

    def __init__(self, result: Any = True) -> None:
        self.result = result
        self.begun, self.end = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self, _: dict[str, Any]) -> bool:
        self.calls += 1
        self.begun.set()
        assert self.end.wait(30)
        if isinstance(self.result, Exception):
            raise self.result
        return bool(self.result)


@contextmanager
def running(*replicas: Replica) -> Iterator[None]:
    threads = [threading.Thread(target=replica.queue.run, daemon=True) for replica in replicas]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for replica in replicas:
            replica.queue.close()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()


def replica_of(log: MemoryLog, name: str, handler: Any, **how: Any) -> Replica:
    return Replica(handler, log, name=name, topic__num_partitions=2, **how)


def done(_: dict[str, Any]) -> bool:
    return True


@pytest.mark.parametrize(
    ("result", "outcome"),
    [(True, What.DONE), (False, What.PUT_BACK), (ValueError("no"), What.ANSWERED)],
)
def test_work_that_ends_in_time_is_settled_and_committed_before_the_partition_goes(
    result: Any, outcome: What
) -> None:
    log, slow = MemoryLog(), Slow(result)
    first = replica_of(log, "first", slow)
    second = replica_of(log, "second", done, first_pause_s=30)
    first.queues(THAT_MOVES)
    with running(first):
        assert slow.begun.wait(10)
        with running(second):
            time.sleep(0.3)  # the second asks for its share meanwhile
            slow.end.set()
            wait_until(lambda: first.saw(What.COMMITTED), 10, what="the commit")
            second.queues(THAT_MOVES, n=2)
            wait_until(lambda: second.saw(What.DONE), 10, what="the second to work")
    assert [event.what for event in first.told] == [What.TAKEN, outcome, What.COMMITTED]
    if outcome is not What.PUT_BACK:
        assert [event.offset for event in second.saw(What.TAKEN)] == [1], "it begins behind it"


def test_work_that_takes_too_long_is_given_up_and_done_by_the_other() -> None:
    log, slow = MemoryLog(), Slow()
    first = replica_of(log, "first", slow, grace_s=0.3)
    second = replica_of(log, "second", done)
    place = first.queues(THAT_MOVES)
    with running(first):
        assert slow.begun.wait(10)
        with running(second):
            wait_until(lambda: second.saw(What.COMMITTED), 10, what="the other to do it")
            slow.end.set()
            wait_until(lambda: first.saw(What.LOST), 10, what="the first to see it lost")
    assert first.saw(What.DONE, What.COMMITTED) == []
    assert second.committed == {place.partition.number: 1}


def test_what_is_given_up_is_neither_answered_nor_put_back_and_nothing_else_is_begun() -> None:
    log, slow = MemoryLog(), Slow(ValueError("too late"))
    first = replica_of(log, "first", slow, grace_s=0.2)
    second = replica_of(log, "second", done)
    place = first.queues(THAT_MOVES)
    with running(first):
        assert slow.begun.wait(10)
        with running(second):
            wait_until(lambda: second.saw(What.COMMITTED), 10, what="the other to do it")
            other = next(f"o{n}" for n in range(99) if partition_of(b"o%d" % n, 2) == 0)
            first.queues(other)
            time.sleep(0.3)
            assert slow.calls == 1, "one request at a time, though this one is lost"
            slow.end.set()
            wait_until(lambda: first.saw(What.LOST), 10, what="the first to see it lost")
    of_it = [event.what for event in first.told if event.partition == place.partition.number]
    assert of_it == [What.TAKEN, What.LOST]


def test_a_partition_that_was_lost_is_not_committed_and_its_work_comes_again() -> None:
    log, slow = MemoryLog(), Slow()
    replica = replica_of(log, "first", slow)
    replica.queues(THAT_MOVES)
    with running(replica):
        assert slow.begun.wait(10)
        assert replica.queue._share is not None
        consumer: Any = replica.queue._share.consumer
        with log.changed:  # as a log does with who is silent for too long
            log._group(replica.service.settings.queue.group_id).leave(consumer)
        time.sleep(0.3)
        slow.end.set()
        wait_until(lambda: replica.saw(What.COMMITTED), 10, what="it to come again")
    assert [event.what for event in replica.told] == [
        What.TAKEN,
        What.LOST,
        What.TAKEN,
        What.DONE,
        What.COMMITTED,
    ]


def test_a_commit_that_is_owed_is_made_before_the_partition_goes() -> None:
    log = MemoryLog()

    def handler(_: dict[str, Any]) -> bool:
        log.down()
        return True

    first, second = replica_of(log, "first", handler), replica_of(log, "second", done)
    place = first.queues(THAT_MOVES)
    assert first.processes() is What.DONE
    log.up()
    assert first.committed == {}
    second.queue.process_request(0)  # it joins
    first.queue.process_request(0)
    assert first.committed == {place.partition.number: 1}
    assert second.queue.process_request(0.2) is None


def test_a_commit_that_is_owed_is_forgotten_with_the_partition_and_takes_nothing_back() -> None:
    log = MemoryLog()

    def handler(_: dict[str, Any]) -> bool:
        with log.changed:  # the log counts us out, and another does all three
            assert replica.queue._share is not None
            consumer: Any = replica.queue._share.consumer
            group = log._group(replica.service.settings.queue.group_id)
            group.leave(consumer)
            group.committed[place.partition] = 3
        return True

    replica = replica_of(log, "first", handler)
    place = replica.queues(THAT_MOVES)
    for _ in range(2):
        replica.queues(THAT_MOVES)
    assert replica.processes() is What.DONE
    for _ in range(3):
        assert replica.queue.process_request(0.05) is None
    assert replica.committed == {place.partition.number: 3}


def test_what_cannot_be_settled_while_the_partition_goes_is_left_to_the_other() -> None:
    log, slow = RefusingLog(RESPONSES, FAILED), Slow(ValueError("no"))
    first = replica_of(log, "first", slow)
    second = replica_of(log, "second", done)
    first.queues(THAT_MOVES)
    with running(first):
        assert slow.begun.wait(10)
        with running(second):
            time.sleep(0.3)
            slow.end.set()
            wait_until(lambda: second.saw(What.COMMITTED), 10, what="the other to do it")
    assert first.saw(What.RETURNED)


def test_long_work_keeps_its_partitions_however_short_the_log_lets_us_be_silent() -> None:
    log, slow = MemoryLog(max_poll_interval_s=0.4), Slow()
    first = replica_of(log, "first", slow)
    second = replica_of(log, "second", done)
    with running(second, first):
        for n in range(20):
            first.queues(f"id {n}")
        assert slow.begun.wait(10)
        time.sleep(1.5)
        slow.end.set()
        wait_until(
            lambda: len(first.saw(What.DONE)) + len(second.saw(What.DONE)) == 20,
            20,
            what="all to be done",
        )
    assert first.saw(What.LOST) == []
