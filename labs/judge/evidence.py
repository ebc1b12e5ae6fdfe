"""The smallest evidence: one message's life, or one program's, in a few lines with times.

A line is `1.042 s  A …`: when, who, what, in words that stand in no manual. Long
lives are folded in the middle. What was done to a copy while it held the message (a
kill, a cut) stands among the lines, for it is the point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labs.journal import Event
from labs.judge.history import History
from labs.judge.lives import Delivery, Message, Publish
from labs.judge.verdicts import Evidence

FIRST, LAST = 8, 5
"""How many lines of a long life are told at its beginning and at its end."""

LONGEST_TOLD = 44
"""How many characters of a body are told: enough to know it by."""

Line = tuple[Event, str]

FAULTS = {
    "cut": "the network cut {whose} connection",
    "close-by-broker": "the broker closed {whose} connection",
    "away": "the broker went away",
    "back": "the broker was back",
    "restart": "the broker was restarted",
    "delete-queue": "the queue was emptied and deleted",
    "refuse-publish": "the broker refused the message",
    "lose": "the network lost what {who} sent: the broker never got it",
    "hold": "somebody else held the database's write lock",
    "release": "the write lock was free again",
    "kill": "{who} was killed",
    "freeze": "{who} was frozen",
    "thaw": "{who} was thawed",
    "terminate": "{who} was asked to stop",
}


def quoted(text: str) -> str:
    """A body in a sentence: in quotes, and no longer than a sentence can bear."""
    return f'"{text}"' if len(text) <= LONGEST_TOLD else f'"{text[: LONGEST_TOLD - 1]}…"'


def message_life(history: History, body: str, *, ending: str = "") -> Evidence:
    """One message's life; `ending` is told at the time of the run's last event."""
    message = history.messages.get(body)
    lines = list(_life(history, message)) if message else []
    return evidence_of(history, body, lines, ending)


def program_life(
    history: History, copy: str | None = None, *, more: Sequence[Line] = (), ending: str = ""
) -> Evidence:
    """What became of a copy (None: of all): started, connected, told off, ended."""
    lines = [*more]
    for process in history.processes:
        if copy in (None, process.copy):
            lines.append((process.started, f"{process.copy} was started"))
            if process.exited and not process.ended_by_itself:
                lines.append((process.exited, f"{process.copy} ended"))
    for connection in history.connections:
        if copy in (None, connection.copy):
            lines.append((connection.opened, f"{_name(connection.copy)} connected"))
    for refusal in history.wire.refusals:
        if copy in (None, refusal.copy):
            words = f'the broker told {_name(refusal.copy)}: {refusal.code} "{refusal.text}"'
            lines.append((refusal.event, words))
    for note in history.noted("stderr"):
        tail = last_line(note)
        if copy in (None, note.copy) and tail:
            lines.append((note, f'{_name(note.copy)} said last on standard error: "{tail}"'))
    lines += blows(history, {copy} if copy else set(history.copies))
    return evidence_of(history, None, lines, ending)


def last_line(note: Event) -> str:
    """The last line of standard error that a note keeps; empty if it was silent."""
    tail = note.data.get("tail") or ""
    text = tail if isinstance(tail, str) else "\n".join(map(str, tail))
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def deliveries(history: History, chosen: Sequence[Delivery], *, ending: str = "") -> Evidence:
    """What a copy was sent and when it was done with it: for promises about several messages."""
    lines = []
    for delivery in chosen:
        lines.append((delivery.event, _delivered(delivery, named=True)))
        if delivery.done:
            lines.append((delivery.done, f"{_name(delivery.copy)} did {_quoted(delivery)}"))
        if settled := delivery.settled:
            lines.append((settled.event, _settled(delivery, named=True)))
    body = chosen[0].message.body if chosen else None
    return evidence_of(history, body, lines, ending)


def evidence_of(history: History, body: str | None, lines: list[Line], ending: str) -> Evidence:
    unique = {(event.n, words): (event, words) for event, words in lines if words}
    ordered = sorted(unique.values(), key=lambda line: line[0].n)
    told = [f"{event.at_s:.3f} s  {words}" for event, words in ordered]
    if len(told) > FIRST + LAST + 1:
        folded = f"         … {len(told) - FIRST - LAST} more like these …"
        told = [*told[:FIRST], folded, *told[-LAST:]]
        ordered = [*ordered[:FIRST], *ordered[-LAST:]]
    if ending and history.events:
        told.append(f"{history.events[-1].at_s:.3f} s  {ending}")
    return Evidence(body, tuple(event.n for event, _ in ordered), tuple(told))


def _life(history: History, message: Message) -> Iterator[Line]:
    if message.given:
        yield message.given, "the program was given the line"
    if message.published:
        yield message.published, "published to the queue"
    for delivery in message.deliveries:
        yield delivery.event, _delivered(delivery)
        if delivery.settled and delivery.settled.how != "auto":
            yield delivery.settled.event, _settled(delivery)
        if delivery.unheard:
            words = f"{_name(delivery.copy)} acknowledged it, but the broker never heard of it"
            yield delivery.unheard.event, words
        if delivery.returned:
            yield delivery.returned, f"back in the queue, for {_name(delivery.copy)} is gone"
    for publish in message.publishes:
        yield from _publish(publish)
    for said in (*message.done, *message.sent):
        yield said.event, f"{_name(said.copy)} printed {quoted(f'{said.word} {said.text}')}"
    for event in message.left:
        yield event, f"found in the queue {event.data.get('queue', '')} when all had ended"
    holders = {delivery.copy for delivery in message.deliveries}
    holders |= {publish.copy for publish in message.publishes}
    begin = min((e.n for e in history.life(message.body)), default=0)
    yield from (line for line in blows(history, holders) if line[0].n > begin)


def blows(history: History, copies: set[str | None]) -> Iterator[Line]:
    """What was done to these copies, and to the broker, and who ended by themselves."""
    for event in (*history.faults, *history.signals):
        asked_in_the_end = event.name == "terminate"
        if event.name in FAULTS and not asked_in_the_end and event.copy in (None, *copies):
            who = _name(event.copy)
            yield event, FAULTS[event.name].format(who=who, whose=f"{who}'s")
    for process in history.processes:
        if process.copy in copies and process.ended_by_itself and process.exited:
            status = process.exited.data.get("status")
            yield process.exited, f"{process.copy} ended by itself, with status {status}"
    for refusal in history.wire.refusals:
        if refusal.copy in copies:
            words = f'the broker told {_name(refusal.copy)}: {refusal.code} "{refusal.text}"'
            yield refusal.event, words


def _delivered(delivery: Delivery, *, named: bool = False) -> str:
    what = f"{_quoted(delivery)} was delivered" if named else "delivered"
    words = f"{what} to {_name(delivery.copy)}"
    if delivery.redelivered:
        words += ", redelivered"
    if not delivery.arrived:
        words += ", but it never got there"
    if delivery.settled and delivery.settled.how == "auto":
        words += " with auto_ack: the broker has forgotten it"
    return words


def _settled(delivery: Delivery, *, named: bool = False) -> str:
    settled, who = delivery.settled, _name(delivery.copy)
    it = _quoted(delivery) if named else "it"
    if settled is None or settled.how == "auto":
        return ""
    if settled.how == "ack":
        return f"{who} acknowledged {'all up to ' if settled.multiple else ''}{it}"
    verb = "rejected" if settled.how == "reject" else "nacked"
    return f"{who} {verb} {it}: {'back to the queue' if settled.requeue else 'for good'}"


def _publish(publish: Publish) -> Iterator[Line]:
    who = _name(publish.copy)
    lasting = "persistent" if publish.properties.get("delivery_mode") == 2 else "transient"
    where = f"with the routing key {publish.routing_key!r}"
    if publish.exchange:
        where = f"to the exchange {publish.exchange!r} {where}"
    lost = "" if publish.reached_broker else ", but it never reached the broker"
    yield publish.began, f"{who} published it {where}, {lasting}{lost}"
    if publish.confirmed:
        yield publish.confirmed, "the broker confirmed it"
    if publish.refused:
        yield publish.refused, "the broker refused it (nack)"
    if publish.returned:
        yield publish.returned, "the broker returned it: no queue for it"
    if publish.committed:
        yield publish.committed, "the broker committed it"


def _name(copy: str | None) -> str:
    return copy or "the program"


def _quoted(delivery: Delivery) -> str:
    return quoted(delivery.message.body)
