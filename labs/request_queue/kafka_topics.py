"""What KafkaLog asks of a cluster about topics: make, look up, offsets, deletion.

All of it goes by the AdminClient, within a time limit, and what the cluster answers comes
out in a sentence. librdkafka's own cluster (`labs.request_queue.local`) knows no such
client for some of it: it is recognized by its name, and asked through its control port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types are partial
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from labs.errors import BadInput, LabError, NotPossibleHere
from labs.request_queue import local
from labs.request_queue.kafka_settings import COMMON, Setting, check_settings, make, without_secrets
from labs.request_queue.log import LogUnreachable, NoSuchTopic, Partition, Topic
from labs.waiting import wait_until

ANSWER_WITHIN_S = 5.0
FIRST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
END = OffsetSpec.latest()  # type: ignore[no-untyped-call]
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


class KafkaTopics:
    """The half of a `KafkaLog` that asks and changes, but neither appends nor consumes."""

    def __init__(self, bootstrap: str, config: Mapping[str, Setting] | None = None) -> None:
        check_settings(config or {})
        self.bootstrap = bootstrap
        self._settings = {**COMMON, **(config or {}), "bootstrap.servers": bootstrap}
        self._said = ""
        """What librdkafka complained of last."""
        self._admin = make(AdminClient, self._settings, self._hear)
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

    def partitions(self, topic: str) -> Sequence[Partition]:
        """The topic's partitions, in order; none if it is not there."""
        return self._partitions(topic, ANSWER_WITHIN_S)

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

    def _partitions(self, topic: str, timeout_s: float) -> Sequence[Partition]:
        found = self._metadata(topic, timeout_s).topics.get(topic)
        numbers = sorted(found.partitions) if found and found.error is None else []
        return [Partition(topic, number) for number in numbers]

    def _hear(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # why each is down says more
            self._said = error.str()

    def _metadata(self, topic: str | None, timeout_s: float) -> Any:
        """What the cluster says of itself and of this topic (None: of all)."""
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
        self._said = ""
        return metadata

    def _unreachable(self, error: KafkaError) -> LogUnreachable:
        self._admin.poll(0)  # the reasons come as events
        why = without_secrets(self._said or error.str(), self._settings)
        return LogUnreachable(
            f"No Kafka answers at {self.bootstrap}: {why}.",
            remedy="Is the address right, and does it run? `labs kafka up` starts one for the lab.",
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
            return [future.result() for future in call().values()]
        except KafkaException as error:
            if error.args[0].code() == fine:
                return []
            raise self._refusal(what, error.args[0]) from None

    def _refusal(self, what: str, error: KafkaError) -> LabError:
        why = without_secrets(error.str(), self._settings)
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
