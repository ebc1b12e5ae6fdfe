"""The one place in `labs` that speaks AMQP to a broker, through pika.

The kit's own needs are small: to know that a broker is ready (a handshake and a
login that succeeded, not an open port) and to look at a queue. Learners' code
uses pika itself, in the open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pika
from pika.adapters.blocking_connection import BlockingConnection

from labs.broker.address import Address


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


@contextmanager
def connected(address: Address, *, timeout_s: float = 5.0) -> Iterator[BlockingConnection]:
    """A connection for the length of a `with` block; pika's exceptions go through."""
    parameters = pika.URLParameters(address.url)
    parameters.socket_timeout = timeout_s
    parameters.stack_timeout = timeout_s
    parameters.blocked_connection_timeout = timeout_s
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()
