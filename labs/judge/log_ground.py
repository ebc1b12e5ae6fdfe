"""Where a trial on a log runs: a small cluster of its own, and a topic that nobody else knows.

The cluster is librdkafka's, in a process of its own (`labs.request_queue.local`), made for
one trial and ended with it; so nothing of anybody's Kafka is touched. A `LogGround` is
what the trial needs of it: to append, and to look, as an outsider, at how far the
group has come and at what the program has put on the topic for what failed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from labs.errors import NotPossibleHere

if TYPE_CHECKING:  # the request queue is imported when there is a log: other trials need none
    from labs.request_queue.log import Consumer, Log, Record

FAILED = ".failed"
"""What the name of the topic for what failed ends with."""

COPIES_JOIN_WITHIN_MS = 1500
"""All who have started by then share the first rebalance: else it is luck whether a second copy
has to wait for a session timeout of the first."""


@dataclass(frozen=True)
class Appended:
    """Where the judge's own record stands."""

    partition: int
    offset: int


class LogGround:
    """A context manager: entering makes the cluster and its two topics, leaving ends it."""

    def __init__(self, name: str, partitions: int) -> None:
        self.topic, self.num_partitions = name, partitions
        self.failed_topic = f"{name}{FAILED}"
        self.group = f"{name}-group-{secrets.token_hex(3)}"
        self.bootstrap = ""
        self._stack = ExitStack()
        self._log: Log
        self._reader: Consumer | None = None
        self._read = 0

    def __enter__(self) -> Self:
        from labs.request_queue.log import Topic

        try:
            from labs.request_queue.kafka import KafkaLog
            from labs.request_queue.local import LocalKafka
        except ImportError as error:
            raise NotPossibleHere(
                f"There is no Kafka client here ({error}).",
                remedy="Install confluent-kafka, as `make lab` does.",
            ) from error
        with ExitStack() as stack:
            kafka = stack.enter_context(LocalKafka())
            kafka.first_member_waits(COPIES_JOIN_WITHIN_MS)
            self.bootstrap = kafka.bootstrap
            self._log = KafkaLog(kafka.bootstrap)
            stack.callback(self._log.close)
            self._log.ensure_topic(Topic(self.topic, self.num_partitions))
            self._log.ensure_topic(Topic(self.failed_topic, 1))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def append(self, body: str, key: str) -> Appended:
        """Append a request; where it stands."""
        made = self._log.append(self.topic, body.encode(), key=key.encode())
        return Appended(made.partition.number, made.offset)

    def committed(self) -> Mapping[int, int]:
        """How far the group has come: the next offset of each partition where it has committed."""
        found = self._log.committed(self.group, self.topic)
        return {partition.number: offset for partition, offset in found.items()}

    def failed(self, timeout_s: float = 8.0) -> Sequence[Record]:
        """What has come to the topic for what failed since the last look, all of it."""
        from labs.request_queue.log import Partition

        end = self._log.offsets(Partition(self.failed_topic, 0))[1]
        found: list[Record] = []
        while self._read < end:
            record = self._failed_reader().poll(timeout_s)
            if record is None:
                break
            found.append(record)
            self._read = record.offset + 1
        return found

    def _failed_reader(self) -> Consumer:
        """A reader in a group of its own, made when there is something to read."""
        if self._reader is None:
            self._reader = self._log.consumer(f"judge-{secrets.token_hex(6)}", [self.failed_topic])
            self._stack.callback(self._reader.close)
        return self._reader

    def keys_of(self, partition: int, names: Sequence[str]) -> list[str]:
        """Those of the names that stand in this partition, as a producer's own rule has it."""
        from labs.request_queue.memory import partition_of

        return [n for n in names if partition_of(n.encode(), self.num_partitions) == partition]
