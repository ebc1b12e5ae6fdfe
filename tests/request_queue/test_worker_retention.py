"""Processed requests are kept for an hour; what is not processed is kept for ever."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from labs.errors import NotPossibleHere
from labs.request_queue import MemoryLog
from labs.request_queue.log import Consumer, Partition, Topic
from labs.request_queue.retention import Retention
from tests.request_queue.replica import Clock

HOUR_S = 3600.0
WORK, GROUP = Partition("work", 0), "group"


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000.0)


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.ensure_topic(Topic("work", 1))
    for n in range(10):
        log.append("work", b"%d" % n)
    return log


def commit(log: MemoryLog, count: int) -> Consumer:
    consumer = log.consumer(GROUP, ["work"])
    for _ in range(count):
        record = consumer.poll(5)
        assert record is not None
        consumer.commit(record)
    return consumer


def pass_time(retention: Retention, consumer: Consumer, clock: Clock, for_s: float) -> None:
    end_s = clock.now_s + for_s
    while clock.now_s < end_s:
        retention.tick(consumer.assignment)
        clock.now_s = min(clock.now_s + 30, end_s)
    retention.tick(consumer.assignment)


def test_what_was_processed_is_deleted_after_an_hour_and_the_rest_stays(
    log: MemoryLog, clock: Clock
) -> None:
    retention = Retention(log, GROUP, "work", HOUR_S, clock)
    consumer = commit(log, 4)
    pass_time(retention, consumer, clock, HOUR_S - 120)
    assert log.offsets(WORK) == (0, 10), "an hour is not over"
    pass_time(retention, consumer, clock, 240)
    assert log.offsets(WORK) == (4, 10)
    pass_time(retention, consumer, clock, 100 * HOUR_S)
    assert log.offsets(WORK) == (4, 10), "what nobody has done waits for ever"


def test_each_is_kept_for_an_hour_after_it_was_processed(log: MemoryLog, clock: Clock) -> None:
    retention = Retention(log, GROUP, "work", HOUR_S, clock)
    commit(log, 2).close()
    pass_time(retention, (consumer := commit(log, 0)), clock, HOUR_S / 2)
    consumer.close()
    consumer = commit(log, 3)
    pass_time(retention, consumer, clock, HOUR_S / 2 + 120)
    assert log.offsets(WORK)[0] == 2
    pass_time(retention, consumer, clock, HOUR_S / 2)
    assert log.offsets(WORK)[0] == 5


def test_a_replica_deletes_in_its_own_partitions_only(log: MemoryLog, clock: Clock) -> None:
    commit(log, 4)
    retention = Retention(log, GROUP, "work", HOUR_S, clock)
    retention.tick(frozenset)
    clock.now_s += 2 * HOUR_S
    retention.tick(frozenset)
    assert log.offsets(WORK)[0] == 0


def test_no_retention_keeps_all(log: MemoryLog, clock: Clock) -> None:
    retention = Retention(log, GROUP, "work", 0, clock)
    pass_time(retention, commit(log, 4), clock, 3 * HOUR_S)
    assert log.offsets(WORK)[0] == 0


def test_a_log_that_cannot_delete_is_asked_once_and_said_so(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    class Old(MemoryLog):
        def delete_before(self, *_: Any) -> None:
            raise NotPossibleHere("this Kafka cannot delete records")

    log = Old()
    log.ensure_topic(Topic("work", 1))
    log.append("work", b"0")
    retention = Retention(log, GROUP, "work", HOUR_S, clock)
    with caplog.at_level(logging.INFO):
        pass_time(retention, commit(log, 1), clock, 4 * HOUR_S)
    assert caplog.text.count("cannot delete records") == 1


def test_a_log_that_is_gone_for_a_while_is_asked_again(log: MemoryLog, clock: Clock) -> None:
    retention = Retention(log, GROUP, "work", HOUR_S, clock)
    consumer = commit(log, 4)
    pass_time(retention, consumer, clock, 60)
    log.down()
    pass_time(retention, consumer, clock, HOUR_S)
    log.up()
    pass_time(retention, consumer, clock, 120)
    assert log.offsets(WORK)[0] == 4
