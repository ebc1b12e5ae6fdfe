"""The one place in `labs` that speaks AMQP to a broker, through pika.

The kit's own needs are small: to know that a broker is ready (a handshake and a
login that succeeded, not an open port), to look at a queue, to put messages into it
and take them out. Learners' code uses pika itself, in the open.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ChannelClosedByBroker, UnroutableError

from labs.broker.address import Address
from labs.broker.explain import explain
from labs.errors import BrokerUnreachable, NotPossibleHere

NOT_FOUND, LOCKED = 404, 405
PERSISTENT = pika.DeliveryMode.Persistent
FAILURES = (AMQPError, AMQPConnectorException, OSError)
"""What pika raises; a handshake that takes too long is none of its own AMQPErrors."""


@dataclass(frozen=True)
class ServerFacts:
    """What a broker says of itself in the handshake."""

    product: str
    version: str
    heartbeat_s: int


@dataclass(frozen=True)
class QueueCounts:
    """What a passive declare tells of a queue, exact at the moment of asking."""

    ready: int
    consumers: int


@dataclass(frozen=True)
class Taken:
    """A message that was taken out of a queue."""

    body: bytes
    message_id: str | None
    redelivered: bool
    delivery_mode: int | None
    headers: Mapping[str, Any]


@contextmanager
def connected(address: Address, *, timeout_s: float = 5.0) -> Iterator[BlockingConnection]:
    """A connection for the length of a `with` block; pika's exceptions go through."""
    parameters = pika.URLParameters(address.url)
    if address.tls:
        parameters.ssl_options = pika.SSLOptions(ssl.create_default_context(), address.host)
    parameters.socket_timeout = timeout_s
    parameters.stack_timeout = timeout_s
    parameters.blocked_connection_timeout = timeout_s
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


@contextmanager
def in_words(address: Address) -> Iterator[None]:
    """What pika raises in the `with` block comes out as a sentence and a cure.

    Raises:
        BrokerUnreachable: instead of pika's exception, which is its `__cause__`.
    """
    try:
        yield
    except FAILURES as error:
        meaning = explain(error)
        raise BrokerUnreachable(
            f"{address.shown}: {meaning.what} {meaning.cause}".rstrip(), remedy=meaning.cure
        ) from error


def log_in(address: Address, timeout_s: float = 5.0) -> ServerFacts:
    """Shake hands with the broker, log in, leave, and tell what the broker said of itself.

    Raises:
        BrokerUnreachable: it did not answer, or refused the login; with words.
    """
    with in_words(address), connected(address, timeout_s=timeout_s) as connection:
        # BlockingConnection keeps what was agreed in the handshake to itself.
        agreed = connection._impl.params.heartbeat  # type: ignore[attr-defined]
        properties = connection._impl.server_properties  # type: ignore[attr-defined]
    return ServerFacts(
        product=_text(properties.get("product", "")),
        version=_text(properties.get("version", "")),
        heartbeat_s=int(agreed or 0),
    )


def count(through: BlockingConnection | BlockingChannel, queue: str) -> QueueCounts | None:
    """How many messages wait in the queue and how many consumers it has; None: no such queue.

    It asks on a channel of its own, since asking for a queue that is not there
    closes the channel.
    """
    connection = through.connection if isinstance(through, BlockingChannel) else through
    channel = connection.channel()
    try:
        answer = channel.queue_declare(queue, passive=True).method
    except ChannelClosedByBroker as error:
        if error.reply_code == NOT_FOUND:
            return None
        raise
    channel.close()
    return QueueCounts(ready=answer.message_count, consumers=answer.consumer_count)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def count_all(address: Address, queues: Iterable[str]) -> dict[str, QueueCounts]:
    """The counts of those of the queues that are there and may be looked at."""
    counts = {}
    with connected(address) as connection:
        for queue in queues:
            with suppress(ChannelClosedByBroker):  # another connection's own, or not allowed
                if found := count(connection, queue):
                    counts[queue] = found
    return counts


def try_permissions(address: Address) -> Exception | None:
    """Declare a queue of one's own, publish to it, get the message; None if all that works.

    Else what the broker refused it with. The queue goes with the connection.
    """
    try:
        with connected(address) as connection:
            channel = connection.channel()
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.confirm_delivery()
            channel.basic_publish("", queue, b"doctor", mandatory=True)
            channel.basic_get(queue, auto_ack=True)
    except FAILURES as error:
        return error
    return None


def delete_queues(address: Address, queues: Iterable[str]) -> dict[str, str]:
    """Delete the queues with their messages; return which the broker kept, and why.

    A queue that is not there is no failure. pika's exceptions go through where the
    connection itself fails.
    """
    kept = {}
    with connected(address) as connection:
        for queue in queues:
            try:
                connection.channel().queue_delete(queue)
            except ChannelClosedByBroker as error:
                kept[queue] = explain(error).what
    return kept


def publish(address: Address, queue: str, messages: Iterable[tuple[str, str]]) -> bool:
    """Publish persistent messages, each a body and a message_id; whether the queue was there.

    Each is confirmed before the next is asked for.

    Raises:
        BrokerUnreachable: it did not answer, or refused.
    """
    with in_words(address), connected(address) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body, message_id in messages:
            properties = pika.BasicProperties(message_id=message_id, delivery_mode=PERSISTENT)
            try:
                channel.basic_publish("", queue, body.encode(), properties, mandatory=True)
            except UnroutableError:
                return False
    return True


def look(address: Address, queue: str) -> QueueCounts | None:
    """The counts of one queue; None: there is no such queue.

    Raises:
        NotPossibleHere: the queue is another connection's own (exclusive).
        BrokerUnreachable: the broker did not answer, or refused.
    """
    with in_words(address), connected(address) as connection, _locked_in_words(queue):
        return count(connection, queue)


def take_all(address: Address, queue: str) -> list[Taken]:
    """Take all that is ready out of the queue, in order; nothing where there is no such queue.

    Raises:
        NotPossibleHere, BrokerUnreachable: as `look`.
    """
    taken: list[Taken] = []
    with in_words(address), connected(address) as connection, _locked_in_words(queue):
        if count(connection, queue) is None:
            return []
        channel = connection.channel()
        while True:
            method, properties, body = channel.basic_get(queue)
            if method is None or properties is None:
                return taken
            taken.append(
                Taken(
                    body or b"",
                    properties.message_id,
                    bool(method.redelivered),
                    properties.delivery_mode,
                    properties.headers or {},
                )
            )
            channel.basic_ack(method.delivery_tag or 0)


@contextmanager
def _locked_in_words(queue: str) -> Iterator[None]:
    try:
        yield
    except ChannelClosedByBroker as error:
        if error.reply_code != LOCKED:
            raise
        raise NotPossibleHere(
            f"The queue {queue} is exclusive: only the connection that declared it may look at it.",
            remedy="Declare it without exclusive=True.",
        ) from error
