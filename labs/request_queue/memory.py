"""A partitioned log in memory: what a test or a lesson uses where no Kafka is needed.

It makes the promises of `labs.request_queue.log` within one process, between threads:
keys choose partitions by Kafka's own rule, groups rebalance between their consumers,
and `down` makes it as unreachable as a real one can be. Nothing survives the process.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from labs.errors import BadInput
from labs.request_queue.log import (
    Appended,
    LogUnreachable,
    NoSuchTopic,
    NotAppended,
    Partition,
    Record,
    Topic,
)
from labs.request_queue.memory_group import Group, MemoryConsumer, Row

SEED, MULTIPLIER, SHIFT = 0x9747B28C, 0x5BD1E995, 24
IN_32_BITS, POSITIVE = 0xFFFFFFFF, 0x7FFFFFFF


class MemoryLog:
    """A `Log` in memory. Who does not poll for `max_poll_interval_s` seconds loses partitions."""

    def __init__(self, *, max_poll_interval_s: float = 300.0) -> None:
        self.max_poll_interval_s = max_poll_interval_s
        self.changed = threading.Condition()
        """Held to look at or change anything here; notified when something has changed."""
        self.reachable = True
        self.rows: dict[Partition, Row] = {}
        self._groups: dict[str, Group] = {}

    def __repr__(self) -> str:
        """Of the topics only their names."""
        return f"MemoryLog({sorted({partition.topic for partition in self.rows})})"

    def down(self) -> None:
        """Be unreachable: nothing can be appended, polled or committed. Nothing is lost."""
        with self.changed:
            self.reachable = False

    def up(self) -> None:
        """Undo `down`."""
        with self.changed:
            self.reachable = True
            self.changed.notify_all()

    def ensure_topic(self, topic: Topic) -> None:
        """Make the topic unless it is there."""
        with self.changed:
            self._must_be_up()
            if not self.partitions(topic.name):
                for number in range(topic.num_partitions):
                    self.rows[Partition(topic.name, number)] = Row()

    def append(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        timeout_s: float = 10.0,
    ) -> Appended:
        """Append a record."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.reachable, timeout_s):
                raise NotAppended(
                    f"The log in memory did not acknowledge the record within {timeout_s:g} s: "
                    "it is down.",
                    remedy="Call up(), then append it again.",
                )
            partitions = self.partitions(topic)
            if not partitions:
                raise NoSuchTopic(topic)
            number = partition_of(key, len(partitions))
            row = self.rows[partitions[number]]
            record = Record(
                partitions[number],
                row.end,
                key,
                value,
                dict(headers or {}),
                time.time_ns() // 10**6,
            )
            row.records.append(record)
            self.changed.notify_all()
            return Appended(record.partition, record.offset)

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: Callable[[frozenset[Partition]], None] | None = None,
        on_revoked: Callable[[frozenset[Partition]], None] | None = None,
        on_lost: Callable[[frozenset[Partition]], None] | None = None,
    ) -> MemoryConsumer:
        """Join the group."""
        with self.changed:
            self._must_be_up()
            for topic in topics:
                if not self.partitions(topic):
                    raise NoSuchTopic(topic)
            return MemoryConsumer(
                self, self._group(group), topics, on_assigned, on_revoked, on_lost
            )

    def partitions(self, topic: str) -> Sequence[Partition]:
        """The topic's partitions, in order; none if it is not there."""
        with self.changed:
            self._must_be_up()
            return sorted(partition for partition in self.rows if partition.topic == topic)

    def offsets(self, partition: Partition) -> tuple[int, int]:
        """The first offset that is still there, and the one that the next record will get."""
        with self.changed:
            row = self._row(partition)
            return row.first, row.end

    def committed(self, group: str, topic: str) -> Mapping[Partition, int]:
        """The group's committed offset of each partition where it has one."""
        with self.changed:
            self._must_be_up()
            committed = self._group(group).committed
            return {known: committed[known] for known in sorted(committed) if known.topic == topic}

    def delete_before(self, partition: Partition, offset: int) -> None:
        """Delete the records below the offset."""
        with self.changed:
            row = self._row(partition)
            if offset > row.end:
                raise BadInput(
                    f"There is no offset {offset} to delete before: {partition} ends at {row.end}.",
                    remedy="The end is the most that can be asked for.",
                )
            row.delete_before(offset)

    def check(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002 - the protocol's
        """Return unless the log is down."""
        with self.changed:
            self._must_be_up()

    def close(self) -> None:
        """Nothing is open: the records go with the object."""

    def _must_be_up(self) -> None:
        if not self.reachable:
            raise LogUnreachable(
                "The log in memory can't be reached: it is down.", remedy="Call up()."
            )

    def _row(self, partition: Partition) -> Row:
        self._must_be_up()
        if partition not in self.rows:
            raise NoSuchTopic(f"{partition.topic}[{partition.number}]")
        return self.rows[partition]

    def _group(self, name: str) -> Group:
        return self._groups.setdefault(name, Group(self.max_poll_interval_s))


def partition_of(key: bytes | None, num_partitions: int) -> int:
    """The number of the partition where a key's records stand, as Kafka's clients agree on it."""
    if key is None:
        return random.randrange(num_partitions)
    return (murmur2(key) & POSITIVE) % num_partitions


def murmur2(data: bytes) -> int:
    """The hash by which Kafka's own producer spreads keys: 32 bits, without sign."""
    whole = len(data) & ~3
    hashed = SEED ^ len(data)
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * MULTIPLIER & IN_32_BITS
        word = (word ^ word >> SHIFT) * MULTIPLIER & IN_32_BITS
        hashed = hashed * MULTIPLIER & IN_32_BITS ^ word
    if rest := data[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * MULTIPLIER & IN_32_BITS
    hashed = (hashed ^ hashed >> 13) * MULTIPLIER & IN_32_BITS
    return hashed ^ hashed >> 15
