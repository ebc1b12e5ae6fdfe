"""Whether messages are done, when they are settled, and what is left: for every worker.

*Done* is a line `done BODY` that the wire bears out: the body had been delivered to
the same process before, and not said to be done already. *Settled before done* is
decided by the order of the journal, never by clocks: the kit reads a program's output
to its end before it lets a settling frame pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from labs.journal import Event
from labs.judge.evidence import message_life, program_life, quoted
from labs.judge.history import History
from labs.judge.lives import Delivery, Message
from labs.judge.rules.finding import KEPT, Finding, broken, some, unknown

LOSSES = ("kill", "freeze", "cut", "close-by-broker", "away", "restart", "lose")
"""What may bring a message back that was done already: its ack never got through."""

NOTHING_PUBLISHED = "no message was published, for the copies were not ready"


def published(history: History) -> list[Message]:
    """What the judge published, in order."""
    return [message for message in history.messages.values() if message.published]


def every_message_done(history: History) -> Finding:
    """Every message is done, and done again only if a fault had come between work and ack."""
    return all_done(history, published(history))


def all_done(history: History, messages: Sequence[Message]) -> Finding:
    """The same for some of the messages."""
    if not messages:
        return unknown(NOTHING_PUBLISHED)
    return (
        _silent(history)
        or _invented(history, messages)
        or _undone(history, messages)
        or _done_again(history, messages, _excused)
        or KEPT
    )


def done_exactly_once(history: History, messages: Sequence[Message] | None = None) -> Finding:
    """Every message (or each of these) is done once over all copies and restarts."""
    messages = published(history) if messages is None else messages
    if not messages:
        return unknown(NOTHING_PUBLISHED)
    return (
        _silent(history)
        or _invented(history, messages)
        or _done_again(history, messages, _never_excused)
        or _undone(history, messages)
        or KEPT
    )


def settled_after_done(history: History) -> Finding:
    """No message is settled before it is done."""
    deliveries = [d for m in published(history) for d in m.deliveries]
    if not deliveries:
        return unknown("nothing was delivered")
    early = [delivery for delivery in deliveries if is_settled_early(delivery)]
    if not early:
        return KEPT
    # The one that was lost by it shows more than the one that went well.
    shown = next((d for d in early if d.message.first_done is None), early[0])
    settled = shown.settled
    assert settled
    how = {
        "auto": f"was settled as it was delivered to {shown.copy}, for it consumes with auto_ack",
        "ack": f"was acknowledged by {shown.copy} before it was done",
        "nack": f"was nacked for good by {shown.copy} before it was done",
        "reject": f"was rejected for good by {shown.copy} before it was done",
    }[settled.how]
    lost = "; it was never done" if shown.message.first_done is None else ""
    seen = f"{quoted(shown.message.body)} {how}{lost}."
    return broken(seen, message_life(history, shown.message.body, ending=never(shown.message)))


def is_settled_early(delivery: Delivery) -> bool:
    """Whether the broker forgot the message while it was not done."""
    settled, done = delivery.settled, delivery.message.first_done
    if settled is None or settled.requeue:
        return False
    return done is None or done.event.n > settled.event.n


def nothing_left(history: History) -> Finding:
    """In the end nothing is in $QUEUE, ready or unacknowledged."""
    if not published(history):
        return unknown(NOTHING_PUBLISHED)
    left = [event for event in history.left if event.data.get("queue") == history.queue]
    if not left:
        return KEPT
    bodies = [str(event.data.get("body", "")) for event in left]
    held = [m for m in map(history.messages.get, bodies) if m and m.deliveries]
    shown = held[0].body if held else bodies[0]
    verb = "was" if len(bodies) == 1 else "were"
    seen = f"{some(bodies)} {verb} still in the queue when all had ended"
    if held and held[0].first_done:
        seen += f"; {quoted(shown)} was done, but never acknowledged"
    return broken(f"{seen[0].upper()}{seen[1:]}.", message_life(history, shown))


def takes_its_time(history: History) -> Finding:
    """No body is done sooner than its work lasts.

    Both ends of the measured time err to the program's favour: a delivery is noted before it is
    passed on, and a line after it was printed. The allowance is for timers that fire early.
    """
    done = [d for d in history.deliveries if d.done and d.message.published]
    if not done:
        return unknown("nothing was done")
    for delivery in done:
        assert delivery.done
        body = delivery.message.body
        took_s, work_s = delivery.done.at_s - delivery.event.at_s, history.work_s(body)
        if took_s < 0.9 * work_s - 0.02:
            seen = f"{quoted(body)} has {len(body)} characters: its work lasts {work_s:.2f} s, but "
            seen += f"{delivery.copy} was done {took_s:.2f} s after it was delivered."
            return broken(seen, message_life(history, body))
    return KEPT


def never(message: Message) -> str:
    """How the life of a message ended that was never done."""
    return "" if message.first_done else "the run ended: it was never done"


def _silent(history: History) -> Finding | None:
    """The commonest of all: nothing that could be read as done was ever printed."""
    if any(said.word == "done" for said in history.lines) or not history.deliveries:
        return None
    printed = [e for e in history.events if e.kind == "line"]
    first = history.deliveries[0]
    seen = f"{first.copy or 'The program'} was delivered messages, and no line `done BODY` came. "
    if printed:
        seen += f'What it printed was such as "{str(printed[0].data.get("text"))[:80]}".'
    else:
        seen += "It printed nothing at all; a program has to flush what it prints."
    return broken(seen, message_life(history, first.message.body, ending=never(first.message)))


def _invented(history: History, messages: Sequence[Message]) -> Finding | None:
    for message in messages:
        for said in message.done:
            if said.delivery:
                continue
            held = [
                d for d in message.deliveries if d.copy == said.copy and d.event.n < said.event.n
            ]
            seen = f"{said.copy} printed {quoted(f'{said.word} {said.text}')} "
            if held:
                seen += "more often than the message had been delivered to it."
            else:
                seen += "though that message had not been delivered to it by then."
            return broken(seen, message_life(history, message.body))
    return None


def _undone(history: History, messages: Sequence[Message]) -> Finding | None:
    undone = [message for message in messages if message.first_done is None]
    if not undone:
        return None
    settled = [m for m in undone if any(d.settled and not d.settled.requeue for d in m.deliveries)]
    shown = (settled or [m for m in undone if m.deliveries] or undone)[0]
    verb = "was" if len(undone) == 1 else "were"
    seen = some([shown.body, *(m.body for m in undone if m is not shown)])
    seen = f"{seen[0].upper()}{seen[1:]} {verb} never done"
    if near := _near_miss(history, shown):
        seen += f"; the line {quoted(near)} is not `done` and the body"
    elif guess := next((s for s in history.lines if s.word == "done" and not s.message), None):
        seen += f"; the line {quoted('done ' + guess.text)} names no message"
    elif not shown.deliveries:
        seen += ", nor delivered"
        if blocking := _in_the_way(history):
            seen += f": in the end {blocking.copy} held {quoted(blocking.message.body)}"
            life = message_life(history, blocking.message.body)
            return broken(f"{seen}.", life)
    elif settled:
        seen += f", and the broker keeps {'it' if len(undone) == 1 else 'them'} no more"
    life = message_life(history, shown.body, ending=never(shown))
    if not shown.deliveries and not history.deliveries:
        life = program_life(history, ending="nothing had been delivered to it")
    return broken(f"{seen}.", life)


def _in_the_way(history: History) -> Delivery | None:
    """What a copy still held when it was asked to end: most often, what others wait for."""
    asked = [event for event in history.signals if event.name == "terminate" and event.copy]
    held = [d for event in asked for d in history.in_hand(event.copy or "", event)]
    held += [d for event in asked for d in history.deliveries if d.done and _is_kept(d, event)]
    return max(held, key=lambda d: len(d.message.deliveries), default=None)


def _is_kept(delivery: Delivery, asked: Event) -> bool:
    """Whether it was done, and not settled when its copy was asked to end."""
    return (
        delivery.copy == asked.copy
        and delivery.settled is None
        and (delivery.returned is None or delivery.returned.n > asked.n)
    )


def _near_miss(history: History, message: Message) -> str:
    """A line that was meant: `done b'BODY'`, or the body in quotes."""
    alike = (message.body, repr(message.body.encode()))
    for said in history.lines:
        if said.word == "done" and said.message is None and any(a in said.text for a in alike):
            return f"done {said.text}"
    return ""


def _done_again(
    history: History,
    messages: Sequence[Message],
    excused: Callable[[History, Delivery, Delivery], bool],
) -> Finding | None:
    for message in messages:
        done = [said.delivery for said in message.done if said.delivery]
        done.sort(key=lambda delivery: delivery.event.n)
        for earlier, later in pairwise(done):
            if not excused(history, earlier, later):
                who = f"by {earlier.copy} and by {later.copy}"
                if earlier.copy == later.copy:
                    who = f"by {earlier.copy}"
                seen = f"{quoted(message.body)} was done {len(done)} times, {who}."
                return broken(seen, message_life(history, message.body))
    return None


def _never_excused(_history: History, _earlier: Delivery, _later: Delivery) -> bool:
    return False


def _excused(history: History, earlier: Delivery, later: Delivery) -> bool:
    """At least once is all that a worker can promise when a fault comes between work and ack.

    A fault is on record before it is done: what struck the connection may have struck the message.
    """
    opened = earlier.connection.opened
    return earlier.settled is None and any(
        opened.n < event.n < later.event.n and event.copy in (None, earlier.copy)
        for event in history.struck(*LOSSES)
    )
