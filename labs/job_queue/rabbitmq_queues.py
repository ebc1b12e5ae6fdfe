"""What the queues on RabbitMQ are declared with, as pure functions of what is asked for.

A work queue is a quorum queue unless its configuration says otherwise: it is safe
where the broker has several nodes, and the same on one. What waits for its time is in a
queue of its own for each length of time, which dead-letters into the work queue when
the time is over: at least once, which the broker does only from quorum queues that
refuse publishes rather than drop the oldest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from labs.job_queue.bus import Header, QueueSpec

ANY_NUMBER = 1_000_000_000
"""A limit that is never reached. Without one RabbitMQ 4 drops what was lost 20 times."""
DELAY_QUEUE_LIFE_S = 24 * 3600.0
"""An unused delay queue goes so long after the last message that it can hold."""
DECLARE_AGAIN_S = DELAY_QUEUE_LIFE_S / 2
CLOCK_IS_FAST = 0.01
"""By so much of a time, at most: as far as Erlang lets its clock stray while it makes up for a
change of the machine's. The broker also cuts off what is less than a ms."""

AT_LEAST_ONCE: dict[str, Header] = {
    "x-dead-letter-exchange": "",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
AT_MOST_ONCE: dict[str, Header] = {"x-dead-letter-exchange": ""}
"""All that classic queues can: still better than to drop at once what is older than was asked."""


def arguments_of(queue: QueueSpec) -> dict[str, Header]:
    """The arguments that the queue is declared with; its own configuration wins."""
    arguments: dict[str, Header] = {"x-queue-type": "quorum"}
    is_quorum = queue.config.get("x-queue-type", "quorum") == "quorum"
    if is_quorum:
        limit = ANY_NUMBER if queue.max_losses is None else queue.max_losses
        arguments["x-delivery-limit"] = limit
    if queue.dead_letters_to is not None:
        arguments |= AT_LEAST_ONCE if is_quorum else AT_MOST_ONCE
        arguments["x-dead-letter-routing-key"] = queue.dead_letters_to
    return arguments | dict(queue.config)


def whole_ms(delay_s: float) -> int:
    """The delay in ms, never less, to two digits: so that there are few queues of them."""
    exact = math.ceil(round(delay_s * 1000, 3))
    step: int = 10 ** max(0, len(str(exact)) - 2)
    return math.ceil(exact / step) * step


def delay_queue(queue: str, ms: int) -> str:
    """The name of the queue in which messages for `queue` wait so long."""
    return f"{queue}.delay.{ms}"


def delay_arguments(queue: str, ms: int) -> Mapping[str, Header]:
    """The arguments that a delay queue is declared with: never sooner by any clock."""
    ttl_ms = ms + math.ceil(ms * CLOCK_IS_FAST) + 1
    return AT_LEAST_ONCE | {
        "x-queue-type": "quorum",
        "x-dead-letter-routing-key": queue,
        "x-message-ttl": ttl_ms,
        "x-expires": ttl_ms + int(DELAY_QUEUE_LIFE_S * 1000),
    }


BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
"""Headers that the broker adds on the way."""


def headers_of(raw: Mapping[str, object] | None) -> dict[str, Header]:
    """The headers as they were published: without the broker's own, and of our kinds only."""
    headers: dict[str, Header] = {}
    for name, value in (raw or {}).items():
        if not isinstance(name, str) or name.startswith(BROKERS_OWN):
            continue
        if isinstance(value, str | bool):
            headers[name] = value
        elif isinstance(value, int):
            headers[name] = int(value)  # pika has a kind of its own for large ones
    return headers
