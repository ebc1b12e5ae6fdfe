"""The log on Kafka, by confluent-kafka: what is appended is on all in-sync replicas.

The producer is idempotent and waits for all acknowledgements; a consumer commits one
record's offset at a time and begins with a topic's first record. A broker that can't be
reached is told within the time limit, in a sentence; librdkafka's own log is not printed.
With librdkafka's own cluster (`labs.request_queue.local`) topics are made, and records
deleted, through its control port, which this module finds by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from typing import Any

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types are partial
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from labs.errors import BadInput, LabError, NotPossibleHere
from labs.request_queue import local
from labs.request_queue.kafka_consumer import KafkaConsumer, record_of
from labs.request_queue.kafka_settings import (
    COMMON,
    CONSUMER,
    LOCAL_CONSUMER,
    PRODUCER,
    Setting,
    check_settings,
    make,
    without_secrets,
)
from labs.request_queue.log import (
    Appended,
    LogUnreachable,
    NoSuchTopic,
    NotAppended,
    Partition,
    Topic,
)
from labs.waiting import wait_until

ANSWER_WITHIN_S = 5.0
SERVE_EVERY_S = 0.1
LAST_WORDS_WITHIN_S = 5.0
FIRST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
END = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class KafkaLog:
    """A `Log` on Kafka.

    `bootstrap` is one or more host:port with commas between; `config` is librdkafka's own
    settings for all clients, such as `security.protocol` (its secrets are never shown).

    Raises:
        BadInput: the settings have an unknown name, or one that is not to be chosen.
    """

    def __init__(self, bootstrap: str, config: Mapping[str, Setting] | None = None) -> None:
        check_settings(config or {})
        self.bootstrap = bootstrap
        self._chosen = dict(config or {})
        self._common = {**COMMON, **self._chosen, "bootstrap.servers": bootstrap}
        self._said = ""
        """What librdkafka complained of last."""
        self._admin = make(AdminClient, self._common, self._hear)
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._serving: threading.Thread | None = None
        self._closed = threading.Event()
        self._there: set[str] = set()
        """Topics that were seen: a topic is looked up before the first append to it."""
        self._control: int | None = None
        """The control port of librdkafka's own cluster, once it was found."""

    def __repr__(self) -> str:
        """Where it is; its settings may hold secrets."""
        return f"KafkaLog({self.bootstrap!r})"

    def ensure_topic(self, topic: Topic) -> None:
        """Make the topic unless it is there."""
        if self.partitions(topic.name):
            return
        if self._control:
            try:
                self._ask(
                    do="create_topic",
                    name=topic.name,
                    num_partitions=topic.num_partitions,
                    replication_factor=topic.replication_factor,
                )
            except BadInput:  # somebody else was quicker
                if not self.partitions(topic.name):
                    raise
        else:
            wanted = NewTopic(
                topic.name,
                num_partitions=topic.num_partitions,
                replication_factor=topic.replication_factor,
                config={name: str(value) for name, value in topic.config.items()},
            )
            self._admin_does(
                f"make the topic {topic.name!r}",
                lambda: self._admin.create_topics([wanted], request_timeout=ANSWER_WITHIN_S),
                fine=KafkaError.TOPIC_ALREADY_EXISTS,
            )
        wait_until(
            lambda: self.partitions(topic.name),
            ANSWER_WITHIN_S,
            what=f"the topic {topic.name!r} to have a leader for each partition",
        )

    def append(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        timeout_s: float = 10.0,
    ) -> Appended:
        """Append a record; return when all in-sync replicas have it."""
        self._must_have(topic, timeout_s)
        acknowledged: Future[Appended] = Future()

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                acknowledged.set_exception(KafkaException(error))
                return
            record = record_of(message)
            acknowledged.set_result(Appended(record.partition, record.offset))

        try:
            self._producing().produce(
                topic, value, key, headers=list((headers or {}).items()), on_delivery=delivered
            )
            return acknowledged.result(timeout_s)
        except TooLate:
            raise self._not_appended(topic, f"no answer within {timeout_s:g} s") from None
        except BufferError:
            raise self._not_appended(topic, "too many records wait for it already") from None
        except KafkaException as error:
            raise self._not_appended(topic, error.args[0].str()) from None

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: Callable[[frozenset[Partition]], None] | None = None,
        on_revoked: Callable[[frozenset[Partition]], None] | None = None,
        on_lost: Callable[[frozenset[Partition]], None] | None = None,
    ) -> KafkaConsumer:
        """Join the group."""
        for topic in topics:
            if not self.partitions(topic):
                raise NoSuchTopic(topic)
        local_or_not = LOCAL_CONSUMER if self._control else {}
        config = {**CONSUMER, **local_or_not, **self._common, "group.id": group}
        return KafkaConsumer(config, topics, on_assigned, on_revoked, on_lost)

    def partitions(self, topic: str) -> Sequence[Partition]:
        """The topic's partitions, in order; none if it is not there."""
        metadata = self._metadata(topic, ANSWER_WITHIN_S)
        found = metadata.topics.get(topic)
        numbers = sorted(found.partitions) if found and found.error is None else []
        if numbers:
            self._there.add(topic)
        return [Partition(topic, number) for number in numbers]

    def offsets(self, partition: Partition) -> tuple[int, int]:
        """The first offset that is still there, and the one that the next record will get."""
        if partition not in self.partitions(partition.topic):
            raise NoSuchTopic(f"{partition.topic}[{partition.number}]")
        return self._offset(partition, FIRST), self._offset(partition, END)

    def committed(self, group: str, topic: str) -> Mapping[Partition, int]:
        """The group's committed offset of each partition where it has one."""
        places = [TopicPartition(topic, known.number) for known in self.partitions(topic)]
        if not places:
            return {}
        (found,) = self._admin_does(
            f"tell the offsets that {group!r} has committed",
            lambda: self._admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group, places)], request_timeout=ANSWER_WITHIN_S
            ),
        )
        return {
            Partition(topic, place.partition): place.offset
            for place in sorted(found.topic_partitions, key=lambda place: place.partition)
            if place.offset >= 0
        }

    def delete_before(self, partition: Partition, offset: int) -> None:
        """Delete the records below the offset."""
        first, end = self.offsets(partition)
        if offset > end:
            raise BadInput(
                f"There is no offset {offset} to delete before: {partition} ends at {end}.",
                remedy="The end is the most that can be asked for.",
            )
        if offset <= first:
            return
        if self._control:
            self._ask(
                do="delete_before",
                topic=partition.topic,
                partition=partition.number,
                offset=offset,
            )
            return
        place = TopicPartition(partition.topic, partition.number, offset)
        self._admin_does(
            f"delete records of {partition.topic!r}",
            lambda: self._admin.delete_records([place], request_timeout=ANSWER_WITHIN_S),
        )

    def check(self, timeout_s: float = 5.0) -> None:
        """Return if the log answers."""
        self._metadata(None, timeout_s)

    def close(self) -> None:
        """Close what is open, after what was appended is acknowledged."""
        with self._lock:
            if self._closed.is_set():
                return
            if self._producer is not None:
                self._producer.flush(LAST_WORDS_WITHIN_S)
            self._closed.set()
        if self._serving is not None:
            self._serving.join()

    def _producing(self) -> Producer:
        """The producer, and a thread that hands its acknowledgements to who waits for them."""
        with self._lock:
            if self._closed.is_set():
                raise BadInput("This log is closed.", remedy="Make another KafkaLog.")
            if self._producer is None:
                self._producer = make(Producer, {**PRODUCER, **self._common}, self._hear)
                self._serving = threading.Thread(
                    target=self._serve, args=(self._producer,), name="kafka-producer", daemon=True
                )
                self._serving.start()
            return self._producer

    def _serve(self, producer: Producer) -> None:
        while not self._closed.is_set():
            producer.poll(SERVE_EVERY_S)

    def _hear(self, error: KafkaError) -> None:
        self._said = error.str()

    def _must_have(self, topic: str, timeout_s: float) -> None:
        """Look the topic up once: a producer that meets an unknown one would wait for it."""
        if topic in self._there:
            return
        try:
            found = self._metadata(topic, timeout_s).topics.get(topic)
        except LogUnreachable as error:
            raise NotAppended(
                f"Nothing was appended to {topic!r}. {error}", remedy=error.remedy
            ) from None
        if found is None or not found.partitions:
            raise NoSuchTopic(topic)
        self._there.add(topic)

    def _metadata(self, topic: str | None, timeout_s: float) -> Any:
        """What the cluster says of itself and of this topic (None: of all)."""
        self._said = ""
        try:
            metadata = (
                self._admin.list_topics(topic, timeout=timeout_s)
                if topic
                else self._admin.list_topics(timeout=timeout_s)
            )
            if self._control is None and str(metadata.cluster_id).startswith(local.CLUSTER_ID):
                self._control = local.control_port(
                    self._admin.list_topics(timeout=timeout_s).topics
                )
        except KafkaException as error:
            raise self._unreachable(error.args[0]) from None
        return metadata

    def _unreachable(self, error: KafkaError) -> LogUnreachable:
        self._admin.poll(0)  # the reasons come as events
        why = without_secrets(self._said or error.str(), self._common)
        return LogUnreachable(
            f"No Kafka answers at {self.bootstrap}: {why}.",
            remedy="Is the address right, and does it run? `labs kafka up` starts one for the lab.",
        )

    def _not_appended(self, topic: str, why: str) -> NotAppended:
        said = f" ({without_secrets(self._said, self._common)})" if self._said else ""
        return NotAppended(
            f"Kafka at {self.bootstrap} has not acknowledged a record for {topic!r}: "
            f"{without_secrets(why, self._common)}{said}.",
            remedy="Append it again when Kafka answers; it may then be there twice.",
        )

    def _offset(self, partition: Partition, which: OffsetSpec) -> int:
        place = TopicPartition(partition.topic, partition.number)
        (found,) = self._admin_does(
            f"tell the offsets of {partition.topic!r}",
            lambda: self._admin.list_offsets({place: which}, request_timeout=ANSWER_WITHIN_S),
        )
        return int(found.offset)

    def _ask(self, **command: Any) -> None:
        assert self._control is not None
        local.ask(self._control, **command)

    def _admin_does(
        self, what: str, call: Callable[[], Mapping[Any, Future[Any]]], *, fine: int | None = None
    ) -> list[Any]:
        """Have the cluster do something, and return what came of each part of it.

        Raises:
            LogUnreachable, NotPossibleHere, BadInput: it could not, may not, must not.
        """
        try:
            return _results(call().values())
        except KafkaException as error:
            if error.args[0].code() == fine:
                return []
            raise self._refusal(what, error.args[0]) from None

    def _refusal(self, what: str, error: KafkaError) -> LabError:
        why = without_secrets(error.str(), self._common)
        if error.code() in UNABLE:
            return NotPossibleHere(
                f"Kafka at {self.bootstrap} can't {what}: {why}.",
                remedy="Do it by Kafka's own tools, or use a user who may, or a newer Kafka.",
            )
        if error.code() in SILENT:
            return self._unreachable(error)
        return BadInput(
            f"Kafka at {self.bootstrap} won't {what}: {why}.",
            remedy="Look at the topic's settings; replicas need as many brokers.",
        )


UNABLE = {
    KafkaError._UNSUPPORTED_FEATURE,
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.POLICY_VIOLATION,
}
SILENT = {
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError.REQUEST_TIMED_OUT,
}


def _results(futures: Iterable[Future[Any]]) -> list[Any]:
    return [future.result() for future in futures]
