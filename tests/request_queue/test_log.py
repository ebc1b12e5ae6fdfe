"""What every log promises: one suite, held against each that is at hand."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from labs.errors import BadInput
from labs.request_queue.log import (
    Consumer,
    LogUnreachable,
    NoSuchTopic,
    NotAppended,
    NotCommitted,
    Partition,
    Record,
    Topic,
)
from labs.request_queue.memory import partition_of
from tests.request_queue.conftest import SETTLES_S, Alive, Ground, settle, take


def test_what_is_appended_comes_out_unchanged_where_append_said(ground: Ground) -> None:
    topic = ground.topic()
    before = time.time()

    put = ground.log.append(topic, b'{"a": 1}\xff', key=b"k\xc3\xa4se", headers={"tries": b"2"})

    (record,) = take(ground.consumer("g", topic), 1)
    assert (record.partition, record.offset) == (put.partition, put.offset)
    assert (record.key, record.value) == (b"k\xc3\xa4se", b'{"a": 1}\xff')
    assert record.headers == {"tries": b"2"}
    assert before - 1 < record.timestamp_ms / 1000 < time.time() + 1


def test_records_of_one_key_stand_in_order_in_the_partition_that_all_clients_agree_on(
    ground: Ground,
) -> None:
    topic = ground.topic(num_partitions=20)
    keys = [b"", b"a", b"bc", b"def", "schlüssel-0815".encode()]

    for turn in range(3):
        for key in keys:
            put = ground.log.append(topic, b"%d" % turn, key=key)
            assert put.partition == Partition(topic, partition_of(key, 20))

    values = defaultdict(list)
    for record in take(ground.consumer("g", topic), 15):
        values[record.key].append(record.value)
    assert values == {key: [b"0", b"1", b"2"] for key in keys}


def test_many_threads_append_at_once_and_each_record_has_a_place_of_its_own(ground: Ground) -> None:
    topic = ground.topic()

    with ThreadPoolExecutor(8) as threads:
        put = list(threads.map(lambda _: ground.log.append(topic, b"v", key=b"k"), range(80)))

    assert {one.offset for one in put} == set(range(80))


def test_a_topic_that_is_there_is_left_as_it_is(ground: Ground) -> None:
    topic = ground.topic(num_partitions=3)

    ground.log.ensure_topic(Topic(topic, num_partitions=7))

    assert ground.log.partitions(topic) == [Partition(topic, number) for number in range(3)]


def test_a_topic_that_is_not_there_is_named_and_not_made_by_the_way(ground: Ground) -> None:
    with pytest.raises(NoSuchTopic, match="'mistyped-name'"):
        ground.log.append("mistyped-name", b"v")
    with pytest.raises(NoSuchTopic, match="'mistyped-name'"):
        ground.log.consumer("g", ["mistyped-name"])

    assert not ground.log.partitions("mistyped-name")
    assert not ground.committed("g", "mistyped-name")
    with pytest.raises(NoSuchTopic):
        ground.log.offsets(Partition("mistyped-name", 0))


def test_each_group_reads_all_from_the_first_record_on(ground: Ground) -> None:
    topic = ground.topic()
    for number in range(6):
        ground.log.append(topic, b"%d" % number, key=b"%d" % number)

    for group in ("one", "other"):
        values = {record.value for record in take(ground.consumer(group, topic), 6)}
        assert values == {b"%d" % number for number in range(6)}


def test_a_commit_is_of_exactly_that_record_not_of_what_was_polled(ground: Ground) -> None:
    topic = ground.topic()
    for value in (b"first", b"second", b"third"):
        ground.log.append(topic, value, key=b"k")
    consumer = ground.consumer("g", topic)
    first, _, _ = take(consumer, 3)

    consumer.commit(first)

    assert ground.committed("g", topic) == {first.partition: first.offset + 1}
    consumer.close()
    assert [record.value for record in take(ground.consumer("g", topic), 2)] == [
        b"second",
        b"third",
    ]


def test_nothing_is_committed_that_nobody_has_committed(ground: Ground) -> None:
    topic = ground.topic()
    ground.log.append(topic, b"v")
    consumer = ground.consumer("g", topic)

    (record,) = take(consumer, 1)
    consumer.close()

    assert ground.committed("g", topic) == {}
    assert take(ground.consumer("g", topic), 1) == [record]


def test_a_record_that_is_sought_comes_again_and_what_follows_it_too(ground: Ground) -> None:
    topic = ground.topic()
    for value in (b"0", b"1", b"2"):
        ground.log.append(topic, value, key=b"k")
    consumer = ground.consumer("g", topic)
    taken = take(consumer, 3)

    consumer.seek(taken[1])

    assert take(consumer, 2) == taken[1:]


def test_a_paused_partition_is_kept_gives_nothing_and_goes_on_where_it_was(ground: Ground) -> None:
    topic = ground.topic(num_partitions=4)
    paused_key, other_key = keys_of_different_partitions(4)
    for value in (b"0", b"1", b"2"):
        ground.log.append(topic, value, key=paused_key)
    consumer = ground.consumer("g", topic)
    first, *_ = take(consumer, 1)

    consumer.pause(first.partition)
    ground.log.append(topic, b"other", key=other_key)

    assert [record.value for record in take(consumer, 1)] == [b"other"]
    assert consumer.poll(0.3) is None
    assert first.partition in consumer.assignment()

    consumer.resume(first.partition)
    assert [record.value for record in take(consumer, 2)] == [b"1", b"2"]


def test_who_pauses_and_goes_on_polling_keeps_its_partitions_for_as_long_as_it_likes(
    ground: Ground,
) -> None:
    topic = ground.topic(num_partitions=2)
    worker, other = ground.consumer("g", topic), ground.consumer("g", topic)
    settle(worker, other, partitions=2)
    kept = worker.assignment()

    worker.pause(*kept)
    alive = Alive(other)
    came = poll_until(after(1.5 * ground.silence_s), worker)
    alive.end()

    assert worker.assignment() == kept
    assert came == alive.got == []


def test_each_partition_has_one_consumer_of_the_group_and_none_is_left_out(ground: Ground) -> None:
    topic = ground.topic(num_partitions=6)
    consumers = [ground.consumer("g", topic) for _ in range(3)]

    settle(*consumers, partitions=6)

    shares = [consumer.assignment() for consumer in consumers]
    assert frozenset.union(*shares) == set(ground.log.partitions(topic))
    assert [len(share) for share in shares] == [2, 2, 2]


def test_who_leaves_hands_over_what_it_had_and_what_it_has_not_committed_comes_again(
    ground: Ground,
) -> None:
    topic = ground.topic(num_partitions=2)
    leaver = ground.consumer("g", topic)
    for value in (b"done", b"in hand"):
        ground.log.append(topic, value, key=b"k")
    done, in_hand = take(leaver, 2)
    leaver.commit(done)

    leaver.close()

    assert take(ground.consumer("g", topic), 1) == [in_hand]
    assert leaver.assignment() == frozenset()


def test_while_a_partition_is_taken_away_what_is_done_can_still_be_committed(
    ground: Ground,
) -> None:
    topic = ground.topic(num_partitions=2)
    for number in range(2):
        for key in keys_of_different_partitions(2):
            ground.log.append(topic, b"%d" % number, key=key)
    revoked: list[frozenset[Partition]] = []
    taken: list[Record] = []

    def commit_what_is_done(partitions: frozenset[Partition]) -> None:
        revoked.append(partitions)
        for record in taken:
            if record.partition in partitions and record.value == b"0":
                first.commit(record)

    first = ground.consumer("g", topic, on_revoked=commit_what_is_done)
    taken += take(first, 4)
    second = ground.consumer("g", topic)
    other = Alive(second)
    poll_until(lambda: bool(other.got), first)
    other.end()

    assert [len(partitions) for partitions in revoked] == [1]
    assert [record.value for record in other.got] == [b"1"], "the committed one came again"


def test_a_rebalance_leaves_alone_what_stays(ground: Ground) -> None:
    topic = ground.topic(num_partitions=2)
    for key in keys_of_different_partitions(2):
        ground.log.append(topic, b"in hand", key=key)
    assigned: list[frozenset[Partition]] = []
    keeper = ground.consumer("g", topic, on_assigned=assigned.append)
    in_hand = take(keeper, 2)
    other = Alive(ground.consumer("g", topic))

    again = poll_until(lambda: bool(other.got), keeper)
    other.end()

    (kept,) = keeper.assignment()
    assert again == [], "what stayed began anew"
    assert [record.partition for record in other.got] != [kept]
    assert sum(map(len, assigned)) == 2, "what stayed was assigned a second time"
    keeper.commit(next(record for record in in_hand if record.partition == kept))


def test_who_is_silent_for_too_long_loses_its_partitions_and_can_commit_no_more(
    ground: Ground,
) -> None:
    topic = ground.topic(num_partitions=1)
    ground.log.append(topic, b"v")
    lost: list[frozenset[Partition]] = []
    revoked: list[frozenset[Partition]] = []
    silent = ground.consumer("g", topic, on_lost=lost.append, on_revoked=revoked.append)
    (record,) = take(silent, 1)

    other = ground.consumer("g", topic)
    assert take(other, 1) == [record]

    with pytest.raises(NotCommitted, match="Offset 1 "):
        silent.commit(record)
    other.commit(record)
    other.close()
    assert poll_until(lambda: bool(lost and silent.assignment()), silent) == []
    assert (lost, revoked) == ([frozenset({record.partition})], [])
    ground.log.append(topic, b"next")
    assert [one.value for one in take(silent, 1)] == [b"next"]


def test_what_was_deleted_is_passed_over_also_by_who_stood_before_it(ground: Ground) -> None:
    if not ground.deletes:
        pytest.skip("this one can't delete records")
    topic = ground.topic(num_partitions=1)
    for value in (b"0", b"1", b"2"):
        ground.log.append(topic, value)
    partition = Partition(topic, 0)
    consumer = ground.consumer("old", topic)
    consumer.commit(take(consumer, 1)[0])
    consumer.close()

    ground.log.delete_before(partition, 2)

    assert ground.log.offsets(partition) == (2, 3)
    for group in ("old", "new"):
        assert [record.value for record in take(ground.consumer(group, topic), 1)] == [b"2"]
    ground.log.delete_before(partition, 1)
    assert ground.log.offsets(partition) == (2, 3)
    with pytest.raises(BadInput, match="ends at 3"):
        ground.log.delete_before(partition, 4)


def test_while_it_can_not_be_reached_all_say_so_in_time_and_then_all_goes_on(
    ground: Ground,
) -> None:
    if ground.down is None or ground.up is None:
        pytest.skip("this one is not ours to take down")
    topic = ground.topic()
    ground.log.append(topic, b"before", key=b"k")
    consumer = ground.consumer("g", topic)
    (before,) = take(consumer, 1)

    ground.down()
    with pytest.raises(LogUnreachable):
        ground.log.check(timeout_s=0.5)
    with pytest.raises(NotAppended):
        ground.log.append(topic, b"lost?", key=b"k", timeout_s=0.5)
    with pytest.raises(NotCommitted):
        consumer.commit(before)
    assert consumer.poll(0.1) is None

    ground.up()
    ground.log.check(timeout_s=SETTLES_S)
    ground.log.append(topic, b"after", key=b"k", timeout_s=SETTLES_S)
    (*_, after_it) = take_through(b"after", consumer)
    consumer.commit(after_it)
    assert ground.committed("g", topic) == {before.partition: after_it.offset + 1}


def test_nobody_polls_what_is_closed_and_closing_twice_is_no_error(ground: Ground) -> None:
    topic = ground.topic()
    consumer = ground.consumer("g", topic)
    consumer.poll(0.1)

    for _ in range(2):
        consumer.close()

    with pytest.raises(BadInput, match="closed"):
        consumer.poll(0)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "ä", "x" * 250, "a/b"])
def test_a_name_that_kafka_would_not_take_is_no_topics_name(name: str) -> None:
    with pytest.raises(BadInput, match="can't be a topic's name"):
        Topic(name)


@pytest.mark.parametrize(("partitions", "replicas"), [(0, 1), (1, 0)])
def test_a_topic_has_a_partition_and_a_replica_of_it(partitions: int, replicas: int) -> None:
    with pytest.raises(BadInput, match="at least one"):
        Topic("t", partitions, replicas)


def keys_of_different_partitions(partitions: int) -> tuple[bytes, bytes]:
    first = b"0"
    for number in range(1, 100):
        key = b"%d" % number
        if partition_of(key, partitions) != partition_of(first, partitions):
            return first, key
    raise AssertionError("no such keys")


def poll_until(condition: Callable[[], bool], consumer: Consumer) -> list[Record]:
    """Poll until it holds; return what came meanwhile."""
    came: list[Record] = []
    deadline = time.monotonic() + SETTLES_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        if record := consumer.poll(0.02):
            came.append(record)
    return came


def after(seconds: float) -> Callable[[], bool]:
    """A condition that holds from so many seconds on."""
    then = time.monotonic() + seconds
    return lambda: time.monotonic() > then


def take_through(value: bytes, consumer: Consumer) -> list[Record]:
    """The records that come, up to the one with this value; one given up may be among them."""
    taken: list[Record] = []
    while not taken or taken[-1].value != value:
        taken += take(consumer, 1)
    return taken
