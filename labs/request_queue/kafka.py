"""The log on Kafka, by confluent-kafka: what is appended is on all in-sync replicas.

The producer is idempotent and waits for all acknowledgements; a consumer commits one
record's offset at a time and begins with a topic's first record. A broker that can't be
reached is told within the time limit, in a sentence; librdkafka's own log is not printed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from labs.errors import BadInput
from labs.request_queue.kafka_consumer import KafkaConsumer, record_of
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

SERVE_EVERY_S = 0.1
LAST_WORDS_WITHIN_S = 5.0


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
        self._closed = threading.Event()
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
        acknowledged: Future[Appended] = Future()

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                acknowledged.set_exception(KafkaException(error))
                return
            self._said = ""
            record = record_of(message)
            acknowledged.set_result(Appended(record.partition, record.offset))

        producer = self._producing()
        try:
            producer.produce(
                topic, value, key, headers=list((headers or {}).items()), on_delivery=delivered
            )
            return acknowledged.result(max(0.0, deadline - time.monotonic()))
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
        config = {**CONSUMER, **local_or_not, **self._settings, "group.id": group}
        return KafkaConsumer(config, topics, on_assigned, on_revoked, on_lost)

    def close(self) -> None:
        """Close what is open, after what was appended is acknowledged."""
        self._closed.set()
        with self._lock:
            producer = self._producer
        if producer is not None:
            producer.flush(LAST_WORDS_WITHIN_S)
            self._forget(producer)

    def _producing(self) -> Producer:
        """The producer, and a thread that hands its acknowledgements to who waits for them."""
        with self._lock:
            if self._closed.is_set():
                raise BadInput("This log is closed.", remedy="Make another KafkaLog.")
            if self._producer is None:
                self._producer = make(Producer, {**PRODUCER, **self._settings}, self._hear)
                threading.Thread(
                    target=self._serve, args=(self._producer,), name="kafka-producer", daemon=True
                ).start()
            return self._producer

    def _serve(self, producer: Producer) -> None:
        with suppress(KafkaException):  # it can't keep its promise any more
            while self._producer is producer:
                producer.poll(SERVE_EVERY_S)
        self._forget(producer)
        with suppress(KafkaException):
            producer.flush(LAST_WORDS_WITHIN_S)  # tells who still waits that it was in vain

    def _forget(self, producer: Producer) -> None:
        """Give the producer up: the next append makes another, unless the log is closed."""
        with self._lock:
            if self._producer is producer:
                self._producer = None
        producer.purge()

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
