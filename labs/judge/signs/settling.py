"""Signs of beliefs about acks, prefetch and who shares the work: 1 to 4, 7 to 9, 15, 19, 20.

Told from who settled what before it was done and by which frame, from the limit that
held for a consumer, from what the broker refused, and (for threads) from the program's
own last words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labs.judge.history import History, was_handed_on
from labs.judge.lives import Delivery
from labs.judge.rules.failing import is_bad
from labs.judge.rules.work import LOSSES, is_settled_early

Sign = Callable[[History], bool]
"""Whether one trial shows a belief."""


def redeclared(history: History) -> bool:
    return any(r.code == 406 and "inequivalent arg" in r.text for r in history.wire.refusals)


def unknown_tag(history: History) -> bool:
    return any(r.code == 406 and "unknown delivery tag" in r.text for r in history.wire.refusals)


def threads_collided(history: History) -> bool:
    """A thread failed while it settled, or the frames of several came mixed up.

    Two threads in one client library may write the same ack twice, so that 406 is the broker's
    answer: the threads' own words on standard error tell it from an ack that was meant twice.
    """
    if any(refusal.code in (501, 503, 505) for refusal in history.wire.refusals):
        return True
    settling = ("basic_ack", "basic_nack", "basic_reject", ".ack(", ".reject(")
    tails = [str(note.data.get("tail", "")) for note in history.noted("stderr")]
    return any("in thread Thread-" in tail and any(s in tail for s in settling) for tail in tails)


def _auto(history: History) -> Iterator[Delivery]:
    """Deliveries that were settled as they were sent, and not done at once."""
    for delivery in history.deliveries:
        if delivery.settled and delivery.settled.how == "auto" and is_settled_early(delivery):
            yield delivery


def settles_by_auto_ack(history: History) -> bool:
    """The promise that broke is about settling itself."""
    return any(True for _ in _auto(history))


def lost_by_auto_ack(history: History) -> bool:
    """A copy held a message when it was struck, and the broker had forgotten it by then."""
    blows = history.struck(*LOSSES)
    return any(
        d.message.first_done is None
        and (is_bad(d.message) or any(d in history.in_hand(d.copy or "", b) for b in blows))
        for d in _auto(history)
    )


def with_prefetch(sign: Sign) -> Sign:
    def both(history: History) -> bool:
        limited = any(d.consumer and d.consumer.prefetch for d in _auto(history))
        return limited and sign(history)

    return both


def acked_on_receipt(history: History) -> bool:
    """A copy acknowledged a message, by its own tag, and did it afterwards."""
    return any(
        d.settled
        and d.settled.how == "ack"
        and d.settled.asked.data.get("delivery_tag") == d.tag
        and d.done
        and d.done.n > d.settled.event.n
        for d in history.deliveries
    )


def acked_others_too(history: History) -> bool:
    """One ack settled deliveries before it that were neither done nor handed on."""
    return any(
        d.settled
        and d.settled.multiple
        and d.settled.asked.data.get("delivery_tag") != d.tag
        and is_settled_early(d)
        and not was_handed_on(d)
        for d in history.deliveries
    )


def never_acked(history: History) -> bool:
    """Messages were done that had to be acknowledged, and not one ever was.

    A program that is sent a message again and again, for it hangs up each time, knows that.
    """
    mine = [d for d in history.deliveries if d.message.published]
    heard_of = any(d.settled or d.unheard for d in mine)
    senders = [(d.message.body, d.connection.process) for d in mine]
    return not heard_of and len(set(senders)) == len(senders) and any(d.done for d in mine)


def _took_many(history: History) -> Iterator[Delivery]:
    """Deliveries by a consumer that came while an earlier one of the same copy was in hand."""
    for delivery in history.deliveries:
        if delivery.consumer and len(history.in_hand(delivery.copy or "", delivery.event)) > 0:
            yield delivery


def no_limit(history: History) -> bool:
    return any(d.consumer and d.consumer.prefetch == 0 for d in _took_many(history))


def wide_limit(history: History) -> bool:
    return any(d.consumer and d.consumer.prefetch > 1 for d in _took_many(history))
