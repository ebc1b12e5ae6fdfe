"""A member of a consumer group on Kafka: one record at a time, committed one by one.

Rebalancing is cooperative: a partition that stays keeps its place and goes on, so long
work on it is not disturbed when other replicas come and go. What librdkafka has fetched
ahead is its own matter: `poll` hands out one record, and `commit` names that one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import cast

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from labs.errors import BadInput
from labs.request_queue.aside import Answer, Aside, TooLate
from labs.request_queue.kafka_settings import Setting, make, without_secrets
from labs.request_queue.log import LogUnreachable, NotCommitted, Partition, Record

logger = logging.getLogger(__name__)
Told = Callable[[frozenset[Partition]], None] | None
AT_MOST_BLIND_S = 0.2
"""How long librdkafka may wait in one call, in which Python hears no signal."""
COMMIT_WITHIN_S = 5.0
CLOSE_WITHIN_S = 8.0
REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
    KafkaError.INVALID_SESSION_TIMEOUT,
}
"""Errors that no waiting cures."""


class KafkaConsumer:
    """A `Consumer` of a `KafkaLog`."""

    def __init__(
        self,
        config: Mapping[str, Setting],
        topics: Sequence[str],
        on_assigned: Told,
        on_revoked: Told,
        on_lost: Told,
    ) -> None:
        self._config = config
        self._ours: set[Partition] = set()
        self._next: dict[Partition, int] = {}
        """The offset that `poll` gives next, of each partition where it is known."""
        self._closed = False
        self._telling = False
        """A callback is running."""
        self._commits = Aside("kafka-commits")
        self._commit: Answer[list[TopicPartition] | None] | None = None
        """The last one, if it may still be on its way."""
        self._committing = False
        """A commit inside a callback has no answer yet."""
        self._later: list[Callable[[], None]] = []
        """What is to be done once the last commit has its answer."""
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        self._on_lost = on_lost or on_revoked
        self._consumer = make(Consumer, config, self._heed)
        self._consumer.subscribe(
            list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def poll(self, timeout_s: float) -> Record | None:
        """The next record; None: none came in time."""
        if self._closed:
            raise BadInput("This consumer is closed.", remedy="Ask the log for another.")
        deadline = time.monotonic() + timeout_s
        if not self._has_answered(timeout_s):
            return None
        while self._later:
            self._later.pop(0)()
        while True:
            left = max(0.0, deadline - time.monotonic())
            message = self._consumer.poll(min(left, AT_MOST_BLIND_S))
            if message is not None:
                if (error := message.error()) is None:
                    record = record_of(message)
                    self._next[record.partition] = record.offset + 1
                    return record
                self._heed(error)
            if time.monotonic() >= deadline:
                return None

    def commit(self, record: Record) -> None:
        """Remember that the group is done with this record."""
        if record.partition not in self._ours:
            raise self._not_committed(record, "the partition is not this consumer's any more")
        place = _place(record.partition, record.offset + 1)
        if not self._has_answered(COMMIT_WITHIN_S):
            raise self._not_committed(record, "an earlier commit has had no answer yet")
        try:
            said = self._committed([place])
        except TooLate:
            raise self._not_committed(record, f"no answer in {COMMIT_WITHIN_S:g} s") from None
        except KafkaException as error:
            raise self._not_committed(record, error.args[0].str()) from None
        refused = [one.error for one in said or () if one.error]
        if refused:
            raise self._not_committed(record, refused[0].str())

    def seek(self, record: Record) -> None:
        """Let this record be the next of its partition again."""
        if record.partition in self._ours:
            self._next[record.partition] = record.offset
            self._now_or_later(lambda: self._seek(record.partition))

    def pause(self, *partitions: Partition) -> None:
        """Let `poll` give no records of these, but keep them."""
        self._now_or_later(lambda: self._consumer.pause(self._places(partitions)))

    def resume(self, *partitions: Partition) -> None:
        """Undo `pause`."""
        self._now_or_later(lambda: self._consumer.resume(self._places(partitions)))
        for partition in self._next.keys() & set(partitions):
            # Its thread, asleep since nothing flowed, would notice only within a second.
            self._now_or_later(partial(self._seek, partition))

    def assignment(self) -> frozenset[Partition]:
        """The partitions that are ours now."""
        return frozenset(self._ours)

    def close(self) -> None:
        """Leave the group at once."""
        if self._closed:
            return
        self._closed = True
        self._commits.rest()
        leaving = Aside("kafka-close")  # the thread of commits may be waiting in vain
        closing = leaving.begin(self._consumer.close)
        leaving.rest()
        while not closing.wait(0):
            with suppress(TooLate):
                closing.result(CLOSE_WITHIN_S)
                break
            if not self._telling or self._committing:  # a callback may take the time it needs
                break  # a commit has no answer: the farewell waits for it, and we do not
        self._ours.clear()

    def _seek(self, partition: Partition) -> None:
        if partition in self._next:
            with suppress(KafkaException):  # it is being revoked
                self._consumer.seek(_place(partition, self._next[partition]))

    def _committed(self, places: list[TopicPartition]) -> list[TopicPartition] | None:
        """Commit aside, so that it can be given up; inside a callback that can't be done.

        librdkafka tries a commit again for as long as a broker is silent, and till then neither
        polls nor closes. (And confluent-kafka lets only one thread at a time into a consumer.)
        """
        if self._telling:
            self._committing = True
            said = self._consumer.commit(offsets=places, asynchronous=False)
            self._committing = False
            return said
        self._commit = self._commits.begin(
            lambda: self._consumer.commit(offsets=places, asynchronous=False)
        )
        return self._commit.result(COMMIT_WITHIN_S)

    def _has_answered(self, timeout_s: float) -> bool:
        """Whether the last commit is over, one way or the other: until then nothing else works."""
        if self._commit is not None and self._commit.wait(timeout_s):
            self._commit = None
        return self._commit is None

    def _now_or_later(self, call: Callable[[], None]) -> None:
        """Call it, unless a commit has no answer yet: then before the next record."""
        if self._has_answered(0):
            call()
        else:
            self._later.append(call)

    def _places(self, partitions: Sequence[Partition]) -> list[TopicPartition]:
        return [_place(partition) for partition in partitions if partition in self._ours]

    def _heed(self, error: KafkaError) -> None:
        if error.code() in REFUSED or error.fatal():
            raise LogUnreachable(
                f"Kafka refuses this consumer: {without_secrets(error.str(), self._config)}.",
                remedy="Look at the group's name, its settings, and what the user may do.",
            )

    def _not_committed(self, record: Record, why: str) -> NotCommitted:
        return NotCommitted(
            f"Offset {record.offset + 1} of {record.partition.topic}[{record.partition.number}] "
            f"is not committed: {without_secrets(why, self._config)}.",
            remedy="The record comes again, here or elsewhere.",
        )

    def _assigned(self, _: Consumer, places: list[TopicPartition]) -> None:
        partitions = _partitions(places)
        self._ours |= partitions
        self._tell(self._on_assigned, partitions)

    def _revoked(self, _: Consumer, places: list[TopicPartition]) -> None:
        partitions = _partitions(places)
        self._tell(self._on_revoked, partitions)
        self._forget(places)

    def _lost(self, _: Consumer, places: list[TopicPartition]) -> None:
        partitions = _partitions(places)
        self._forget(places)
        self._tell(self._on_lost, partitions)

    def _forget(self, places: list[TopicPartition]) -> None:
        """They are ours no more; should they come back, they flow, from what is committed."""
        self._consumer.resume(places)  # librdkafka would keep them paused
        for partition in _partitions(places):
            self._ours.discard(partition)
            self._next.pop(partition, None)  # another may have gone on, or back

    def _tell(self, told: Told, partitions: frozenset[Partition]) -> None:
        if told and partitions:
            self._telling = True
            try:
                told(partitions)
            finally:
                self._telling = False


def record_of(message: Message) -> Record:
    """A message of confluent-kafka as a record. A log without times (before 0.10) has 0."""
    partition, offset = place_of(message)
    return Record(
        partition,
        offset,
        _bytes(message.key()),
        _bytes(message.value()),
        {name: _bytes(header) or b"" for name, header in _headers(message)},
        max(0, message.timestamp()[1]),
    )


def place_of(message: Message) -> tuple[Partition, int]:
    """Where the record stands that the message is."""
    topic, number, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None, "a record that is there has a place"
    assert number is not None, "a record that is there has a place"
    assert offset is not None, "a record that is there has a place"
    return Partition(topic, number), offset


def _headers(message: Message) -> list[tuple[str, str | bytes | None]]:
    try:
        return cast("list[tuple[str, str | bytes | None]]", message.headers() or [])
    except (SystemError, UnicodeDecodeError):
        # confluent-kafka reads no name that is not UTF-8. The record must not stop its partition.
        logger.warning("The headers of a record can't be read, and are left out")
        return []


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _place(partition: Partition, offset: int = OFFSET_INVALID) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number, offset)


def _partitions(places: list[TopicPartition]) -> frozenset[Partition]:
    return frozenset(Partition(place.topic, place.partition) for place in places)
