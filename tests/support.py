"""What tests say often: publish these, declare that, how many wait there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pika

from labs.broker import connection
from labs.broker.address import Address
from labs.waiting import wait_until

__all__ = ["count", "declare", "publish", "wait_until"]


def declare(
    address: Address,
    queue: str,
    *,
    durable: bool = True,
    arguments: dict[str, Any] | None = None,
) -> None:
    """Declare the queue."""
    with connection.connected(address) as broker:
        broker.channel().queue_declare(queue, durable=durable, arguments=arguments)


def publish(
    address: Address, queue: str, bodies: Iterable[str | bytes], *, persistent: bool = False
) -> None:
    """Publish the bodies to the queue through the default exchange; each is confirmed."""
    properties = pika.BasicProperties(delivery_mode=2 if persistent else 1)
    with connection.connected(address) as broker:
        channel = broker.channel()
        channel.confirm_delivery()
        for body in bodies:
            payload = body.encode() if isinstance(body, str) else body
            channel.basic_publish("", queue, payload, properties, mandatory=True)


def count(address: Address, queue: str) -> int | None:
    """How many messages wait in the queue, ready; None where there is no such queue."""
    with connection.connected(address) as broker:
        found = connection.count(broker, queue)
    return None if found is None else found.ready
