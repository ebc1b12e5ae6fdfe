"""What the request queue asks of a partitioned log, and a log in memory with the same promises.

A topic is some partitions; a partition is a row of records, each with an offset, that
nobody takes away: a consumer group only remembers how far it has come in each partition
(the committed offset), and records with the same key stand in the same partition, in order.
Within a group each partition belongs to one consumer at a time. `labs.request_queue.kafka`
is the real one; both are held to one contract suite (`tests/request_queue/test_log.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from labs.errors import BadInput, BrokerUnreachable, LabError

TOPIC_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")
"""What Kafka takes for a topic's name."""


class LogUnreachable(BrokerUnreachable):
    """Raised when the log does not answer in time."""


class NotAppended(LabError):
    """Raised when the log has not acknowledged a record: it may be appended again."""

    exit_code = 12


class NotCommitted(LabError):
    """Raised when a commit did not reach the log, or the partition is no longer this consumer's.

    Where the partition is another's now, the record will be delivered there again. Where it
    is still ours (`assignment`), the log may have been away, or the group just rebalancing:
    poll and commit once more, or `seek` the record; it does not come again by itself.
    """

    exit_code = 12


class NoSuchTopic(BadInput):
    """Raised when a topic is asked for that is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no topic {name!r}.",
            remedy="Make it first (auto_create does), or correct its name.",
        )


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be.

    Raises:
        BadInput: Kafka would not take the name, or there is no partition.
    """

    name: str
    num_partitions: int = 20
    replication_factor: int = 1
    config: Mapping[str, str] = field(default_factory=dict)
    """The log's own settings, such as `retention.ms` (Kafka), passed on as they are."""

    def __post_init__(self) -> None:
        """Refuse what no log could make."""
        if not TOPIC_NAME.fullmatch(self.name):
            raise BadInput(
                f"{self.name!r} can't be a topic's name.",
                remedy="Letters, digits, dots, dashes and underscores only, at most 249.",
            )
        if self.num_partitions < 1 or self.replication_factor < 1:
            raise BadInput(
                f"The topic {self.name!r} needs at least one partition, and one replica of it.",
                remedy="num_partitions and replication_factor are 1 or more.",
            )


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One row of a topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Record:
    """What stands in a partition, at an offset, unchanged for ever."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    timestamp_ms: int
    """When it was appended, as the log says, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a record stands now."""

    partition: Partition
    offset: int


class Consumer(Protocol):
    """One member of a consumer group. It belongs to the thread that polls it."""

    def poll(self, timeout_s: float) -> Record | None:
        """The next record of any partition that is ours and not paused; None: none came in time.

        To poll is also to say that we live: who does not for too long loses its partitions.
        Callbacks about partitions run in here. A log that can't be reached for a while is
        no error: nothing comes, and it goes on when the log is back.

        Raises:
            LogUnreachable: the log refuses us for good (a password, a right).
        """

    def commit(self, record: Record) -> None:
        """Remember that the group is done with this record: offset + 1, in its partition alone.

        Returns when the log has taken it.

        Raises:
            NotCommitted: it has not, or the partition is not ours any more.
        """

    def seek(self, record: Record) -> None:
        """Let this record be the next of its partition again. Not ours any more: no error."""

    def pause(self, *partitions: Partition) -> None:
        """Let `poll` give no records of these, but keep them. What is not ours is passed over.

        A partition that is assigned to us anew is not paused.
        """

    def resume(self, *partitions: Partition) -> None:
        """Undo `pause`: it goes on after the last record that `poll` gave. Not ours: no error."""

    def assignment(self) -> frozenset[Partition]:
        """The partitions that are ours now."""

    def close(self) -> None:
        """Leave the group at once; our partitions go to others. Twice is no error."""


class Log(Protocol):
    """A partitioned log. Its methods may be called from any thread."""

    def ensure_topic(self, topic: Topic) -> None:
        """Make the topic unless it is there (with whatever settings it then has).

        Raises:
            LogUnreachable: the log is not there to ask.
        """

    def append(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        timeout_s: float = 10.0,
    ) -> Appended:
        """Append a record; return when all in-sync replicas have it.

        Records with the same key go to the same partition, by Kafka's own rule (murmur2).

        Raises:
            NoSuchTopic: the topic is not there, and is not made by the way.
            NotAppended: the log did not acknowledge it in time, or refused it. It may be
                there all the same: to append it again can make a duplicate, never a loss.
        """

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: Callable[[frozenset[Partition]], None] | None = None,
        on_revoked: Callable[[frozenset[Partition]], None] | None = None,
        on_lost: Callable[[frozenset[Partition]], None] | None = None,
    ) -> Consumer:
        """Join the group, from the first record on where the group has committed nothing.

        The callbacks run inside `poll` and `close`, with the partitions that come or go (a
        rebalance leaves alone what stays). `on_revoked` runs while they are still ours, and
        may commit. `on_lost` (where there is none, `on_revoked`) runs when we were silent for
        too long: others may have them already, and a commit raises NotCommitted.

        Raises:
            NoSuchTopic: one of the topics is not there.
            LogUnreachable: the log is not there to ask.
        """

    def partitions(self, topic: str) -> Sequence[Partition]:
        """The topic's partitions, in order; none if it is not there.

        Raises:
            LogUnreachable: the log does not answer; of the next three methods too.
        """

    def offsets(self, partition: Partition) -> tuple[int, int]:
        """The first offset that is still there, and the one that the next record will get.

        Raises:
            NoSuchTopic: the partition is not there.
        """

    def committed(self, group: str, topic: str) -> Mapping[Partition, int]:
        """The group's committed offset of each partition where it has one."""

    def delete_before(self, partition: Partition, offset: int) -> None:
        """Delete the records below the offset: what retention does, on demand.

        Raises:
            NotPossibleHere: this log cannot.
            BadInput: the offset is beyond the end, or the partition is not there.
        """

    def check(self, timeout_s: float = 5.0) -> None:
        """Return if the log answers.

        Raises:
            LogUnreachable: it does not.
        """

    def close(self) -> None:
        """Close what is open, after what was appended is acknowledged. Twice is no error."""
