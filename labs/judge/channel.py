"""A channel as the broker sees it: what it has open, what it waits for, what counts when.

Delivery tags and confirm numbers are counted a channel; `multiple` is about all up to
a tag, and tag 0 about all there are. In a transaction nothing counts before its
commit. When a channel ends, what it held goes back to its queue. `labs.judge.wire`
keeps one of these for each channel and calls its methods as frames come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labs.journal import Event
from labs.judge.lives import Connection, Consumer, Declaration, Delivery, Publish, Settlement

SETTLING: Mapping[str, Literal["ack", "nack", "reject"]] = {
    "basic.ack": "ack",
    "basic.nack": "nack",
    "basic.reject": "reject",
}


@dataclass(slots=True)
class Content:
    """A method that carries a message, until its last frame is there."""

    method: Event
    intact: bool
    properties: Mapping[str, Any] = field(default_factory=dict)
    missing: int = -1
    texts: list[str | None] = field(default_factory=list)

    @property
    def body(self) -> str | None:
        """The body as text; None where the journal does not keep all of it."""
        parts = [text for text in self.texts if text is not None]
        return "".join(parts) if len(parts) == len(self.texts) else None


@dataclass(slots=True)
class Channel:
    """One channel of one connection, with what the broker keeps in mind about it."""

    connection: Connection
    number: int
    contents: dict[str, Content] = field(default_factory=dict)
    prefetch: int = 0
    shared_prefetch: int = 0
    queue: str = ""
    """The queue declared last: what an empty name means."""
    consumers: dict[str, Consumer] = field(default_factory=dict)
    open: dict[int, Delivery] = field(default_factory=dict)
    in_transaction: bool = False
    asked: list[tuple[Delivery, Settlement]] = field(default_factory=list)
    """Settlements that wait for tx.commit."""
    confirms: bool = False
    number_next: int = 1
    unconfirmed: dict[int, Publish] = field(default_factory=dict)
    unanswered: list[Publish] = field(default_factory=list)
    uncommitted: list[Publish] = field(default_factory=list)
    gets: deque[tuple[str, bool]] = field(default_factory=deque)
    declares: deque[Declaration] = field(default_factory=deque)
    consumes: deque[Event] = field(default_factory=deque)

    def answer(self, event: Event) -> None:
        """The broker answered something: by then it had dealt with all that came before."""
        for publish in self.unanswered:
            publish.answered = event
        self.unanswered.clear()

    def give_back(self, event: Event) -> None:
        """It ends: what it held goes back to the queue, and its consumers are gone."""
        self.recover(event)
        self.asked.clear()
        for consumer in self.consumers.values():
            consumer.ended = event
        self.consumers.clear()

    def recover(self, event: Event) -> None:
        """What it held goes back to the queue."""
        for delivery in self.open.values():
            delivery.returned = event
        self.open.clear()

    def settle(self, event: Event, *, unheard: bool = False) -> None:
        """The client sent an ack, nack or reject; `unheard`: the broker never got it."""
        how = SETTLING[event.name]
        requeue = how != "ack" and bool(event.data.get("requeue", True))
        multiple = bool(event.data.get("multiple"))
        waiting = [delivery for delivery, _ in self.asked]
        for tag in [tag for tag in self.open if _is_meant(tag, event)]:
            delivery = self.open[tag]
            settlement = Settlement(how, event, event, requeue, multiple)
            if unheard:
                delivery.unheard = delivery.unheard or settlement
            elif self.in_transaction and delivery not in waiting:
                self.asked.append((delivery, settlement))
            elif not self.in_transaction:
                delivery.settled = settlement
                del self.open[tag]

    def confirm(self, event: Event) -> None:
        """The broker sent a confirm, or a refusal."""
        for number in [number for number in self.unconfirmed if _is_meant(number, event)]:
            publish = self.unconfirmed.pop(number)
            if event.name == "basic.ack":
                publish.confirmed = event
            else:
                publish.refused = event

    def take_back(self, content: Content, event: Event) -> None:
        """The broker returned a message: the oldest publish that it can be, for it keeps order."""
        message_id = content.properties.get("message_id")
        for publish in [*self.unconfirmed.values()] if self.confirms else self.unanswered:
            same = publish.body == content.body if content.body is not None else True
            same = same and publish.properties.get("message_id") == message_id
            if same and publish.returned is None:
                publish.returned = event
                return

    def commit(self, event: Event) -> None:
        """The client committed its transaction: now its settlements count."""
        for delivery, settlement in self.asked:
            settlement.event = event
            delivery.settled = settlement
            self.open.pop(delivery.tag, None)
        self.asked.clear()


def _is_meant(number: int, event: Event) -> bool:
    """Whether a frame with a tag (and perhaps `multiple`) is about this tag or confirm number."""
    tag = int(event.data.get("delivery_tag", 0))
    return number == tag or (bool(event.data.get("multiple")) and (number <= tag or tag == 0))
