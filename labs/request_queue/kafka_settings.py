"""How our Kafka clients are set: what the promises need, what can be chosen, what is secret.

Settings are librdkafka's own, by its own names (`security.protocol`, `sasl.username`,
`max.poll.interval.ms`), passed on as they are, so that TLS and SASL need nothing here.
A few belong to the kit, because a promise hangs on each; they are refused by name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from labs.errors import BadInput

Setting = str | int | float | bool
C = TypeVar("C")

KEPT = {
    "bootstrap.servers": "give it as the connection address",
    "group.id": "give it as the group's name",
    "acks": "what append returns from is safe only when all replicas have it (all)",
    "enable.auto.commit": "an offset is committed when its request is done, not before",
    "enable.auto.offset.store": "an offset is committed when its request is done, not before",
    "auto.offset.reset": "a new group begins with the first record, so that none is skipped",
    "partitioner": "keys go to partitions as all Kafka clients agree (murmur2_random)",
    "allow.auto.create.topics": "a mistyped name shall not make a topic",
}
"""The settings that are not to be chosen, and why."""
SECRET = re.compile(r"password|secret|\.pem$|\.key$|sasl\.oauthbearer\.config", re.IGNORECASE)

COMMON: Mapping[str, Setting] = {
    "log_level": 0,  # what matters of librdkafka's log is in the errors that it hands over
    "socket.timeout.ms": 10_000,  # a broker that has fallen silent is noticed within this
    "reconnect.backoff.max.ms": 1_000,
    "allow.auto.create.topics": False,
}
PRODUCER: Mapping[str, Setting] = {
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "linger.ms": 0,
    "message.timeout.ms": 10_000,
    # What is too large is the broker's to say: what it once took goes on, with why it failed.
    "message.max.bytes": 100_000_000,
}
CONSUMER: Mapping[str, Setting] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 1_000,
}
LOCAL_CONSUMER: Mapping[str, Setting] = {
    # librdkafka's own cluster ends a rebalance a second before a session would time out,
    # and answers a fetch only after its longest wait.
    "session.timeout.ms": 2_000,
    "heartbeat.interval.ms": 200,
    "fetch.wait.max.ms": 20,
}


def check_settings(config: Mapping[str, Setting]) -> None:
    """Refuse the settings that belong to the kit.

    Raises:
        BadInput: one of them is among these.
    """
    for name in sorted(config.keys() & KEPT):
        raise BadInput(
            f"The Kafka setting {name!r} is not to be chosen here.",
            remedy=f"Take it out of the configuration: {KEPT[name]}.",
        )


def make(
    client: Callable[..., C],
    config: Mapping[str, Setting],
    on_error: Callable[[KafkaError], None],
) -> C:
    """A client of confluent-kafka with these settings; it tells `on_error` of its troubles.

    Raises:
        BadInput: librdkafka knows no such setting, or not this value of it.
    """
    try:
        return client({**config, "error_cb": on_error}, logger=_silent())
    except (KafkaException, ValueError, TypeError) as error:
        words = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        raise BadInput(
            f"A Kafka setting can't be used: {without_secrets(words, config)}.",
            remedy="The names and values are librdkafka's: see its CONFIGURATION.md.",
        ) from None


def without_secrets(text: str, config: Mapping[str, Setting]) -> str:
    """The text with the values of secret settings taken out."""
    for name, value in config.items():
        if SECRET.search(name) and str(value):
            text = text.replace(str(value), "…")
    return text.rstrip(". ")


def _silent() -> logging.Logger:
    """A logger that writes nothing by itself, so that no line of the library's is printed."""
    logger = logging.getLogger("labs.request_queue.kafka.librdkafka")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger
