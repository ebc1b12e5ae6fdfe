"""The log on a real Kafka broker: what is appended is there, and a killed replica loses nothing.

This broker is an old one (`real_kafka.py`); that its settings can be passed is shown too.
"""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress

import pytest

from labs.errors import NotPossibleHere
from labs.request_queue.kafka import KafkaLog
from labs.request_queue.log import LogUnreachable, Partition
from labs.request_queue.memory import partition_of
from labs.waiting import wait_until
from tests.request_queue.conftest import take
from tests.request_queue.real_kafka import OF_ITS_AGE, RealKafka, real_kafka

KEYS = [b"ann", b"bob", b"cy"]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKafka]:
    with real_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.mark.slow
def test_a_replica_is_killed_in_mid_work_and_another_finishes_it_in_order(
    kafka: RealKafka,
) -> None:
    log = KafkaLog(kafka.bootstrap, OF_ITS_AGE)
    with_topic(kafka, log, "requests", 4)
    for number in range(5):
        for key in KEYS:
            put = log.append("requests", b"%d" % number, key=key)
            assert put.partition == Partition("requests", partition_of(key, 4))
    replica = subprocess.Popen(
        [sys.executable, "-c", REPLICA, kafka.bootstrap, repr(OF_ITS_AGE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert replica.stdout
    committed = eval(replica.stdout.readline())  # noqa: S307 - our own program's
    assert log.committed("g", "requests") == {
        Partition("requests", committed[0]): committed[1] + 1
    }, "exactly one record is committed, though more were polled"

    replica.kill()
    replica.communicate()

    other = log.consumer("g", ["requests"])
    values = defaultdict(list)
    for record in take(other, 14):
        values[record.key].append(record.value)
        other.commit(record)
    done_before = committed[2]
    for key in KEYS:
        whole = [b"%d" % number for number in range(5)]
        assert values[key] == (whole[1:] if key == done_before else whole)
    ends = {known: log.offsets(known)[1] for known in log.partitions("requests")}
    assert log.committed("g", "requests") == {known: end for known, end in ends.items() if end}
    other.close()
    log.close()


@pytest.mark.slow
def test_what_so_old_a_broker_can_not_do_is_said_in_a_sentence(kafka: RealKafka) -> None:
    log = KafkaLog(kafka.bootstrap, OF_ITS_AGE)
    with_topic(kafka, log, "old", 1)
    for _ in range(2):
        log.append("old", b"v")

    with pytest.raises(NotPossibleHere, match="can't delete records"):
        log.delete_before(Partition("old", 0), 1)
    log.close()


def with_topic(kafka: RealKafka, log: KafkaLog, name: str, partitions: int) -> None:
    """Make the topic, and wait until all can be told of it.

    Before a partition has a leader this old answer is one that librdkafka can't read.
    """
    kafka.create_topic(name, partitions)

    def is_there() -> bool:
        with suppress(LogUnreachable):
            return len(log.partitions(name)) == partitions
        return False

    wait_until(is_there, 30, what=f"the topic {name!r} to have its leaders")


REPLICA = """
import sys
from labs.request_queue.kafka import KafkaLog

consumer = KafkaLog(sys.argv[1], eval(sys.argv[2])).consumer("g", ["requests"])
taken = []
while len(taken) < 7:
    if record := consumer.poll(0.1):
        taken.append(record)
consumer.commit(taken[0])
print((taken[0].partition.number, taken[0].offset, taken[0].key), flush=True)
input()
"""
