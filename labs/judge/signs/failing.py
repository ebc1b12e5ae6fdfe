"""Signs of beliefs about work that fails: 5, 6 and 28 to 31.

Told from what became of the deliveries of bad messages: given back, rejected,
acknowledged, left open, or died of.
"""

from __future__ import annotations

from collections.abc import Iterator

from labs.judge.history import History
from labs.judge.lives import Delivery, Message
from labs.judge.rules.failing import AT_MOST, attempts, failed_queue, is_bad
from labs.judge.rules.work import published


def _bad(history: History) -> Iterator[Delivery]:
    for message in published(history):
        if is_bad(message):
            yield from message.deliveries


def is_set_aside(history: History, message: Message) -> bool:
    return any(e.data.get("queue") == failed_queue(history) for e in message.left)


def died_of_it(history: History) -> bool:
    """A copy ended by itself while it held a bad message."""
    return any(
        d.connection.process is not None
        and d.connection.process.ended_by_itself
        and d.settled is None
        for d in _bad(history)
    )


def went_round(history: History) -> bool:
    """A bad message was given back to its queue time and again."""
    return any(
        is_bad(message)
        and attempts(history, message) > AT_MOST
        and sum(bool(d.settled and d.settled.requeue) for d in message.deliveries) > AT_MOST
        for message in published(history)
    )


def limit_refused(history: History) -> bool:
    """It asked for a limit where there is none: on a classic queue."""
    return any(r.code == 406 and "x-delivery-limit" in r.text for r in history.wire.refusals)


def trusted_a_limit(history: History) -> bool:
    """It went round though the program had asked for a limit, or for a queue that has one."""
    asked = [d.arguments for d in history.wire.declarations if d.queue == history.queue]
    return went_round(history) and any(
        "x-delivery-limit" in arguments or arguments.get("x-queue-type") == "quorum"
        for arguments in asked
    )


def rejected_into_nothing(history: History) -> bool:
    return any(
        d.settled
        and d.settled.how in ("nack", "reject")
        and not d.settled.requeue
        and not is_set_aside(history, d.message)
        for d in _bad(history)
    )


def acked_the_failed(history: History) -> bool:
    """A bad message was acknowledged, and the program had published nothing instead."""
    return not history.wire.publishes and any(
        d.settled and d.settled.how == "ack" and not d.message.done for d in _bad(history)
    )


def left_the_failed_open(history: History) -> bool:
    """Good messages were acknowledged, bad ones never settled, and their copies had got over them.

    To hold a message is not to forget it: a program may still wait before it tries again. One that
    has printed something since, or has done a message that came later, is through with it.
    """
    bad = [d for d in _bad(history) if d.arrived]
    acked = any(d.settled and d.settled.how == "ack" for d in history.deliveries if d.done)
    if not acked or any(d.settled or d.done for d in bad):
        return False
    return any(_got_over(history, delivery) for delivery in bad)


def _got_over(history: History, delivery: Delivery) -> bool:
    failed_s = delivery.event.at_s + 0.9 * history.work_s(delivery.message.body)
    spoke = any(
        event.kind == "line" and event.copy == delivery.copy and event.at_s > failed_s
        for event in history.events
    )
    went_on = any(
        d.copy == delivery.copy and d.event.n > delivery.event.n and d.done
        for d in history.deliveries
    )
    return spoke or went_on
