"""The log on Kafka, by confluent-kafka: what is appended is on all in-sync replicas.

The producer is idempotent and waits for all acknowledgements; a consumer commits one
record's offset at a time and begins with a topic's first record. A broker that can't be
reached is told within the time limit, in a sentence; librdkafka's own log is not printed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from labs.errors import BadInput
from labs.request_queue.kafka_consumer import AT_MOST_BLIND_S, KafkaConsumer, place_of
from labs.request_queue.kafka_settings import (
    CONSUMER,
    LOCAL_CONSUMER,
    PRODUCER,
    Setting,
    make,
    without_secrets,
)
from labs.request_queue.kafka_topics import KafkaTopics
from labs.request_queue.log import Appended, LogUnreachable, NoSuchTopic, NotAppended, Partition

LAST_WORDS_WITHIN_S = 5.0


class Acknowledgement:
    """What came back for one record: its place, or an error; neither: nothing came yet."""

    __slots__ = ("error", "place")

    def __init__(self) -> None:
        self.place: Appended | None = None
        self.error: KafkaError | None = None

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """Take it; librdkafka calls this, in whatever thread polls the producer."""
        if error is not None:
            self.error = error
        else:
            self.place = Appended(*place_of(message))

    @property
    def came(self) -> bool:
        """Whether it has come."""
        return self.place is not None or self.error is not None


class KafkaLog(KafkaTopics):
    """A `Log` on Kafka.

    `bootstrap` is one or more host:port with commas between; `config` is librdkafka's own
    settings for all clients, such as `security.protocol` (its secrets are never shown).

    Raises:
        BadInput: the settings have an unknown name, or one that is not to be chosen.
    """

    def __init__(self, bootstrap: str, config: Mapping[str, Setting] | None = None) -> None:
        super().__init__(bootstrap, config)
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._closed = False
        self._heard = threading.Condition()
        """Held by those who wait for an acknowledgement; told after each one that came."""
        self._somebody_listens = False
        self._there: set[str] = set()
        """Topics that were seen: a topic is looked up before the first append to it."""

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
        deadline = time.monotonic() + timeout_s
        self._must_have(topic, timeout_s)
        acknowledgement = Acknowledgement()
        producer = self._producing()
        try:
            producer.produce(
                topic,
                value,
                key,
                headers=list(headers.items()) if headers else None,
                on_delivery=acknowledgement,
            )
        except BufferError:
            with suppress(KafkaException):
                producer.poll(0)  # takes in what came for those who gave up: it makes room
            raise self._not_appended(topic, "too many records wait for it already") from None
        except KafkaException as error:
            if error.args[0].code() == KafkaError._FATAL:  # since the last append
                self._forget(producer)
            raise self._not_appended(topic, error.args[0].str()) from None
        self._listen(producer, acknowledgement, deadline)
        if acknowledgement.error is not None:
            raise self._not_appended(topic, acknowledgement.error.str())
        if acknowledgement.place is None:
            raise self._not_appended(topic, f"no answer within {timeout_s:g} s")
        self._said = ""
        return acknowledgement.place

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
        config = {**CONSUMER, **local_or_not, **self._settings, "group.id": group}
        return KafkaConsumer(config, topics, on_assigned, on_revoked, on_lost)

    def close(self) -> None:
        """Close what is open, after what was appended is acknowledged."""
        with self._lock:
            self._closed = True
            producer = self._producer
        if producer is not None:
            _hear_out(producer)
            self._forget(producer)

    def _producing(self) -> Producer:
        with self._lock:
            if self._closed:
                raise BadInput("This log is closed.", remedy="Make another KafkaLog.")
            if self._producer is None:
                self._producer = make(Producer, {**PRODUCER, **self._settings}, self._hear)
            return self._producer

    def _listen(self, producer: Producer, mine: Acknowledgement, deadline: float) -> None:
        """Wait for it: one of those who wait listens for all, and wakes them after each answer."""
        with self._heard:
            while not mine.came and (left := deadline - time.monotonic()) > 0:
                if self._somebody_listens:
                    self._heard.wait(left)
                    continue
                self._somebody_listens = True
                self._heard.release()
                try:
                    producer.poll(min(left, AT_MOST_BLIND_S))
                except KafkaException:  # it can't keep its promise any more
                    self._forget(producer)
                finally:
                    self._heard.acquire()
                    self._somebody_listens = False
                    self._heard.notify_all()

    def _forget(self, producer: Producer) -> None:
        """Give the producer up: the next append makes another, unless the log is closed."""
        with self._lock:
            if self._producer is producer:
                self._producer = None
        producer.purge()
        _hear_out(producer)  # tells who still waits that it was in vain

    def _must_have(self, topic: str, timeout_s: float) -> None:
        """Look the topic up once: a producer that meets an unknown one would wait for it."""
        if topic in self._there:
            return
        try:
            found = self._partitions(topic, timeout_s)
        except LogUnreachable as error:
            raise NotAppended(
                f"Nothing was appended to {topic!r}. {error}", remedy=error.remedy
            ) from None
        if not found:
            raise NoSuchTopic(topic)
        self._there.add(topic)

    def _not_appended(self, topic: str, why: str) -> NotAppended:
        said = f" ({without_secrets(self._said, self._settings)})" if self._said else ""
        return NotAppended(
            f"Kafka at {self.bootstrap} has not acknowledged a record for {topic!r}: "
            f"{without_secrets(why, self._settings)}{said}.",
            remedy="Append it again when Kafka answers; it may then be there twice.",
        )


def _hear_out(producer: Producer) -> None:
    """Poll until there is no more to hear, or for too long.

    (`flush` stumbles where an answer stands behind the news that the producer has failed.)
    """
    deadline = time.monotonic() + LAST_WORDS_WITHIN_S
    while len(producer) and (left := deadline - time.monotonic()) > 0:
        with suppress(KafkaException):
            producer.poll(min(left, AT_MOST_BLIND_S))
