"""A replica on a Kafka: long work, a broker that goes and comes, and what it can do for good."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from labs.request_queue import What
from labs.request_queue.kafka import KafkaLog
from labs.request_queue.local import LocalKafka
from labs.request_queue.log import LogUnreachable, Partition, Topic
from labs.request_queue.share import Share
from labs.waiting import wait_until
from tests.request_queue.replica import RESPONSES, Replica, records


def own_names() -> dict[str, Any]:
    name = f"test-{secrets.token_hex(4)}"
    return {"topic__name": name, "group_id": name}


@contextmanager
def running(replica: Replica) -> Iterator[None]:
    thread = threading.Thread(target=replica.queue.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        replica.queue.close()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def kafka() -> Iterator[LocalKafka]:
    """One of the test's own, to be taken down."""
    with LocalKafka() as kafka:
        yield kafka


@pytest.mark.slow
def test_work_longer_than_the_poll_interval_keeps_its_partition(local_kafka: LocalKafka) -> None:
    """Without polling meanwhile, a partition is lost after max.poll.interval.ms: here, 2 s."""
    names = own_names()

    def replica_of() -> tuple[Replica, KafkaLog]:
        log = KafkaLog(local_kafka.bootstrap, {"max.poll.interval.ms": 2000})
        return Replica(slow, log, **names), log

    def slow(_: dict[str, Any]) -> bool:
        time.sleep(5)
        return True

    (first, log), (second, other_log) = replica_of(), replica_of()
    with running(first), running(second):
        place = first.queues("a")
        wait_until(lambda: first.committed, 40, what="the request to be done")
    told = [event.what for event in first.told + second.told]
    assert told == [What.TAKEN, What.DONE, What.COMMITTED]
    assert first.committed == {place.partition.number: 1}
    log.close()
    other_log.close()


@pytest.mark.slow
def test_a_broker_that_goes_in_mid_work_and_comes_back_loses_nothing(kafka: LocalKafka) -> None:
    log = KafkaLog(kafka.bootstrap, {"message.timeout.ms": 3000})

    def handler(request: dict[str, Any]) -> bool:
        if not replica.saw(What.RETURNED):
            kafka.down()
        if request["n"] == 1:
            raise ValueError("no such server")
        return True

    replica = Replica(handler, log, first_pause_s=0.1, **own_names())
    place = replica.queues("a", n=1)
    replica.queues("a", n=2)
    with running(replica):
        wait_until(lambda: replica.saw(What.RETURNED), 60, what="it to be put nowhere")
        with pytest.raises(LogUnreachable):
            replica.service.check(1)
        assert replica.saw(What.COMMITTED) == []
        kafka.up()
        wait_until(lambda: len(replica.saw(What.COMMITTED)) == 2, 60, what="both commits")
    assert [event.offset for event in replica.saw(What.COMMITTED)] == [0, 1]
    assert replica.saw(What.ANSWERED)
    log.close()
    afterwards = KafkaLog(kafka.bootstrap)  # with no connection that has to recover
    queue, topic = replica.service.settings.queue, replica.service.settings.topic.name
    assert afterwards.committed(queue.group_id, topic) == {place.partition: 2}
    assert [record.key for record in records(afterwards, RESPONSES)] == [b"a"]
    afterwards.close()


@pytest.mark.slow
def test_on_a_kafka_too_what_cannot_be_read_is_kept_whole_with_its_reason(
    local_kafka: LocalKafka,
) -> None:
    log = KafkaLog(local_kafka.bootstrap)
    replica = Replica(lambda request: request["n"] > 2, log, first_pause_s=0.1, **own_names())
    topic = replica.service.settings.topic.name
    replica.service.make_topics()
    poison = b"\xff\x00[" * 347_000  # as large as a broker takes it, and the reason comes on top
    log.append(topic, poison, key=b"a")
    replica.queues("a", n=3)
    with running(replica):
        wait_until(lambda: replica.saw(What.DONE), 40, what="the next to be done")
        assert replica.saw(What.FAILED)[0].offset == 0
        replica.queues("b", n=1)
        wait_until(lambda: len(replica.saw(What.PUT_BACK)) == 3, 40, what="it to be tried again")
    assert [event.attempts for event in replica.saw(What.TAKEN)][-3:] == [0, 1, 2]
    failed_topic = replica.service.settings.failed_topic.name
    consumer = log.consumer(f"reader-{secrets.token_hex(4)}", [failed_topic])
    record = wait_until(lambda: consumer.poll(0.2), 20, what="the failed record")
    consumer.close()
    assert (record.key, record.value) == (b"a", poison)
    assert b"not UTF-8" in record.headers["reason"]
    log.close()


@pytest.mark.slow
def test_partitions_that_went_while_work_was_long_flow_again_when_they_come_back(
    local_kafka: LocalKafka,
) -> None:
    """All are paused while a handler works: who takes some over and returns them gets them so."""
    names, go_on = own_names(), threading.Event()

    def slow(_: dict[str, Any]) -> bool:
        return go_on.wait(60)

    log, other_log = KafkaLog(local_kafka.bootstrap), KafkaLog(local_kafka.bootstrap)
    first = Replica(slow, log, grace_s=0.1, **names)
    second = Replica(slow, other_log, grace_s=0.1, **names)
    first.queues("a")
    with running(first):
        wait_until(lambda: first.saw(What.TAKEN), 40, what="the first to work")
        with running(second):
            wait_until(
                lambda: (
                    second.queue._share and len(second.queue._share.consumer.assignment()) == 10
                ),
                40,
                what="the second to have its half",
            )
        go_on.set()
        for n in range(60):
            first.queues(f"id {n}")
        wait_until(
            lambda: len({event.request_id for event in first.saw(What.DONE)}) >= 60,
            40,
            what="all to be done",
        )
    log.close()
    other_log.close()


@pytest.mark.slow
def test_a_partition_that_was_lost_goes_on_from_what_is_committed(kafka: LocalKafka) -> None:
    """Not from where this consumer was: that would skip what it took and never settled."""
    log, lost = KafkaLog(kafka.bootstrap), threading.Event()
    log.ensure_topic(Topic("work", 1))
    for value in (b"0", b"1", b"2"):
        log.append("work", value)
    consumer = log.consumer("group", ["work"], on_lost=lambda _: lost.set())
    share = Share(consumer)
    for value in (b"0", b"1"):
        assert wait_until(lambda: share.take(0.2), 20, what="a record").value == value
    kafka.down()

    def is_lost() -> bool:
        share.beat()
        return lost.is_set()

    wait_until(is_lost, 30, what="the partition to be lost")
    share.forget(frozenset({Partition("work", 0)}))
    kafka.up()

    def is_back() -> bool:
        share.beat()
        return bool(consumer.assignment())

    wait_until(is_back, 30, what="it to come back")
    end = time.monotonic() + 1.0
    while time.monotonic() < end:  # as while a handler works: it is paused, and then resumed
        share.beat()
        time.sleep(0.05)
    again = wait_until(lambda: share.take(0.2), 20, what="a record")
    assert again.value == b"0"
    consumer.close()
    log.close()
