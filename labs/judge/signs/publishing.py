"""Signs of beliefs about what becomes of a published message: 10 to 13 and 16 to 18.

Told from how the messages that the judge did not find had been published.
"""

from __future__ import annotations

from collections.abc import Iterator

from labs.judge.history import History
from labs.judge.lives import Publish
from labs.judge.rules.failing import is_bad
from labs.judge.rules.producing import given, in_stock
from labs.judge.rules.work import published
from labs.judge.signs.failing import is_set_aside


def _lost_publishes(history: History) -> Iterator[Publish]:
    """Publishes of what the judge did not find in the queue where it belongs."""
    for message in given(history):
        if not in_stock(history, message):
            yield from message.publishes
    for message in published(history):
        if is_bad(message) and not is_set_aside(history, message):
            yield from message.publishes


def wrong_key(history: History) -> bool:
    """Published by the default exchange to a queue that nobody had declared."""
    declared = {declaration.queue for declaration in history.wire.declarations}
    return any(
        p.exchange == "" and p.routing_key != history.queue and p.routing_key not in declared
        for p in _lost_publishes(history)
    )


def bound_too_late(history: History) -> bool:
    """Published to an exchange to which nothing was bound by then."""
    for publish in _lost_publishes(history):
        bound = [
            event
            for event in history.events
            if event.kind == "frame"
            and event.name == "queue.bind"
            and event.data.get("exchange") == publish.exchange
        ]
        if publish.exchange and (not bound or bound[0].n > publish.event.n):
            return True
    return False


def limited_length(history: History) -> bool:
    """$QUEUE was declared to drop what it has no room for."""
    return any(
        declared.queue == history.queue
        and {"x-max-length", "x-max-length-bytes"} & set(declared.arguments)
        and not str(declared.arguments.get("x-overflow", "")).startswith("reject-publish")
        for declared in history.wire.declarations
    )


def no_confirms(history: History) -> bool:
    publishes = history.wire.publishes
    return bool(publishes) and all(p.number is None and not p.in_transaction for p in publishes)


def confirmed_not_routed(history: History) -> bool:
    """A message was confirmed though no queue took it, and the program said that it was sent."""
    return any(
        publish.confirmed and (publish.returned or not publish.mandatory)
        for publish in _lost_publishes(history)
    )


def transient_messages(history: History) -> bool:
    """The queue was to survive; the messages were not."""
    return _queue_is_durable(history) is True and any(
        publish.properties.get("delivery_mode") != 2 for publish in _lost_publishes(history)
    )


def transient_queue(history: History) -> bool:
    """The messages were to survive; the queue was not."""
    modes = {p.properties.get("delivery_mode") for p in history.wire.publishes}
    return _queue_is_durable(history) is False and modes == {2}


def _queue_is_durable(history: History) -> bool | None:
    for declared in history.wire.declarations:
        if declared.queue == history.queue and declared.answered and not declared.passive:
            return declared.durable
    return None
