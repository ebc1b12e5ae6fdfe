"""A journal, grouped by what it is about: messages, deliveries, connections, processes.

`History.of(events)` reads a journal; `follow` reads on, so that whoever waits for
something looks at each event once. Nothing here judges. The wire is the witness
before standard output: a line `done BODY` belongs to a delivery of that body to the
same process, and one without such a delivery has `said.delivery` None.

Enters: events in the order of the journal. Leaves: the values of `labs.judge.lives`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Self

from labs.journal import Event
from labs.judge.lives import Connection, Consumer, Delivery, Message, Place, Process, Said
from labs.judge.wire import Wire

_LINE = re.compile(r"\s*(?:\[[^\]]*\]\s*)?([a-z]+)\b\s*(.*?)\s*", re.IGNORECASE | re.DOTALL)


def read_line(text: str, words: Collection[str] = ("done", "sent")) -> tuple[str, str] | None:
    """The word and the body of a line such as ` [x] Done BODY`; None if it has none of the words.

    A body has no outer blanks, so that blanks and a CR at the end are none of it.
    """
    match = _LINE.fullmatch(text)
    if match is None or match[1].lower() not in words:
        return None
    return match[1].lower(), match[2]


def job_in(body: str) -> Mapping[str, Any]:
    """The job that a message is: its JSON mapping; empty where it is none."""
    try:
        job = json.loads(body)
    except ValueError:
        return {}
    return job if isinstance(job, dict) else {}


class History:
    """What the events seen so far add up to. Read its lists; only it writes them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.run: Mapping[str, Any] = {}
        self.messages: dict[str, Message] = {}
        """By body, in the order of being published (or given to a producer)."""
        self.processes: list[Process] = []
        self.lines: list[Said] = []
        """The lines `done …` and `sent …`, in order."""
        self.faults: list[Event] = []
        self.signals: list[Event] = []
        self.notes: list[Event] = []
        self.looks: list[Event] = []
        """The judge's looks at queues."""
        self.left: list[Event] = []
        self.commits: list[Event] = []
        """How far the judge saw the group come in the log, in order."""
        self.wire = Wire(self._message, self._process)
        self._others: dict[tuple[str | None, str | None], Message] = {}
        self._body_of: dict[str, str] = {}

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """The history of a journal."""
        history = cls()
        history.follow(events)
        return history

    def follow(self, events: Iterable[Event]) -> None:
        """Take in what has come since: each event once, in order."""
        events = list(events)
        self.run = next((event.data for event in events if event.kind == "run"), self.run)
        for event in events:  # a delivery can be faster than the judge's note that it published
            if event.kind == "published":
                self._publish(event)
        for event in events:
            self.events.append(event)
            self._take(event)

    # --- What the run was ------------------------------------------------------------------

    @property
    def exercise(self) -> str:
        """The slug."""
        return str(self.run.get("exercise", ""))

    @property
    def trial(self) -> str:
        """Which of the exercise's trials."""
        return str(self.run.get("trial", ""))

    @property
    def queue(self) -> str:
        """The name that the program has as $QUEUE."""
        return str(self.run.get("queue", ""))

    @property
    def address_in(self) -> str:
        """The variable of the environment that says where the broker is."""
        return "KAFKA_BOOTSTRAP" if "topic" in self.run else "AMQP_URL"

    @property
    def copies(self) -> Sequence[str]:
        """The names of the copies."""
        return [str(copy) for copy in self.run.get("copies", ())]

    def name_of(self, body: str) -> str:
        """What a message is known by: its body; a job, by the member that `run` names."""
        member = self.run.get("known_by")
        if not member:
            return body
        job = job_in(body)
        return str(job[member]) if member in job else body

    def work_s(self, body: str) -> float:
        """How long the work on a body lasts, in seconds."""
        return len(body) * float(self.run.get("delay_s", 0.0))

    # --- What happened ---------------------------------------------------------------------

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """All, in the order of arriving."""
        return self.wire.deliveries

    @property
    def connections(self) -> Sequence[Connection]:
        """All, in the order of connecting."""
        return list(self.wire.connections.values())

    @property
    def consumers(self) -> Sequence[Consumer]:
        """All, in the order of beginning."""
        return self.wire.consumers

    def process(self, copy: str) -> Process | None:
        """The latest process of a copy."""
        return next((p for p in reversed(self.processes) if p.copy == copy), None)

    def is_consuming(self, copy: str) -> bool:
        """Whether the copy's latest process has a consumer, or has polled, on $QUEUE."""
        process = self.process(copy)
        return any(
            consumer.ended is None and consumer.queue == self.queue
            for consumer in self.consumers
            if consumer.connection.process is process and consumer.connection.copy == copy
        ) or any(
            connection.process is process and connection.copy == copy
            for connection, _ in self.wire.polls
        )

    def in_hand(self, copy: str, at: Event | None = None) -> list[Delivery]:
        """What a copy had been sent and was not done with, at an event (None: by now).

        What it acknowledged before its work is in hand, too, as long as nobody has done it; what
        it rejected, handed on by publishing it, or lost with its connection is not.
        """
        before = at.n if at else len(self.events) + 1
        process = next(
            (p for p in reversed(self.processes) if p.copy == copy and p.started.n < before), None
        )
        return [
            delivery
            for delivery in self.deliveries
            if delivery.copy == copy
            and delivery.connection.process is process
            and delivery.arrived
            and delivery.event.n < before
            and not _is_over(delivery, before)
        ]

    def unacknowledged(self, copy: str | None = None) -> list[Delivery]:
        """What the broker counts as delivered and not settled, for one copy or all."""
        return [
            delivery
            for delivery in self.deliveries
            if delivery.is_open and (copy is None or delivery.copy == copy)
        ]

    def is_done(self, body: str) -> bool:
        """Whether this body was done, as the wire bears out."""
        message = self.messages.get(body)
        return message is not None and message.first_done is not None

    def all_done(self, bodies: Iterable[str] | None = None) -> bool:
        """Whether all of these bodies (None: all that were published) are done."""
        return all(self.is_done(b) for b in (self.messages if bodies is None else bodies))

    def all_sent(self, bodies: Iterable[str] | None = None) -> bool:
        """Whether all of these bodies (None: all lines that were given) were said to be sent."""
        wanted = self.messages if bodies is None else bodies
        return all(body in self.messages and self.messages[body].sent for body in wanted)

    def struck(self, *names: str) -> list[Event]:
        """The faults and signals of these names that struck, in order."""
        return sorted(
            [event for event in (*self.faults, *self.signals) if event.name in names],
            key=lambda event: event.n,
        )

    def noted(self, *names: str) -> list[Event]:
        """The notes of these names, in order."""
        return [event for event in self.notes if event.name in names]

    def life(self, body: str) -> list[Event]:
        """One message's life: published, delivered, done or sent, settled, returned, left."""
        message = self.messages.get(body)
        if message is None:
            return []
        found = [message.published, message.given, *message.left]
        found += [said.event for said in (*message.done, *message.sent)]
        for delivery in message.deliveries:
            found += [delivery.began, delivery.over]
            found += [delivery.unheard.event] if delivery.unheard else []
        found += message.appended
        for publish in message.publishes:
            found += [publish.began, publish.confirmed, publish.refused]
            found += [publish.returned, publish.committed]
        return sorted({e.n: e for e in found if e is not None}.values(), key=lambda e: e.n)

    # --- Reading ---------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        lists = {"fault": self.faults, "signal": self.signals, "note": self.notes}
        lists |= {"queue": self.looks, "left": self.left, "committed": self.commits}
        if event.kind in lists:
            lists[event.kind].append(event)
        match event.kind:
            case "connected":
                self.wire.connected(event)
            case "disconnected":
                self.wire.disconnected(event)
            case "frame":
                self.wire.frame(event)
            case "started":
                self.processes.append(Process(event.copy or "", event))
            case "exited":
                if process := self.process(event.copy or ""):
                    process.exited = event
            case "signal":
                if process := self.process(event.copy or ""):
                    process.frozen = event.name == "freeze"
            case "input":
                self._message_of(str(event.data.get("text", ""))).given = event
            case "line":
                self._line(event)
            case "left":
                self._left(event)
            case "appended":
                self._message_of(str(event.data.get("body", ""))).appended.append(event)

    def _publish(self, event: Event) -> None:
        body = self.name_of(str(event.data.get("body", "")))
        message = self._message_of(body)
        message.published = message.published or event
        message.times_published += 1
        message.message_id = event.data.get("message_id")
        if message.message_id:
            self._body_of[message.message_id] = body
        if "offset" in event.data:
            place = event.data
            message.place = Place(place["partition"], place["offset"], str(place["key"]))

    def _message_of(self, body: str) -> Message:
        if body not in self.messages:
            self.messages[body] = Message(body)
        return self.messages[body]

    def _message(self, body: str | None, message_id: str | None) -> Message:
        """What a delivery or publish is about; one that the judge never published is kept apart."""
        if body is None and message_id:
            body = self._body_of.get(message_id)
        body = None if body is None else self.name_of(body)
        if body is not None and body in self.messages:
            return self.messages[body]
        if (body, message_id) not in self._others:
            self._others[body, message_id] = Message(body or "", message_id)
        return self._others[body, message_id]

    def _process(self, copy: str | None) -> Process | None:
        return self.process(copy) if copy else None

    def _left(self, event: Event) -> None:
        body = self.name_of(str(event.data.get("body", "")))
        if body in self.messages:
            self.messages[body].left.append(event)

    def _line(self, event: Event) -> None:
        read = read_line(str(event.data.get("text", "")))
        if read is None:
            return
        word, text = read
        process = self._process(event.copy)
        said = Said(word, text, event, process, self.messages.get(text))
        self.lines.append(said)
        if said.message is None:
            return
        if word == "sent":
            said.message.sent.append(said)
            return
        said.message.done.append(said)
        mine = [
            delivery
            for delivery in said.message.deliveries
            if delivery.copy == event.copy
            and delivery.connection.process is process
            and delivery.arrived
            and delivery.done is None
        ]
        # The oldest that is not done yet: a thread may finish the first work after a redelivery.
        # What was handed on, as a job that was not ready, comes last: its work was never begun.
        mine.sort(key=lambda delivery: was_handed_on(delivery, event))
        if mine:
            said.delivery, mine[0].done = mine[0], event


def was_handed_on(delivery: Delivery, by: Event | None = None) -> bool:
    """Whether its copy published the message again and then settled it (before an event)."""
    settled = delivery.settled
    return (
        settled is not None
        and (by is None or settled.event.n <= by.n)
        and any(
            delivery.event.n < publish.event.n < settled.event.n and publish.copy == delivery.copy
            for publish in delivery.message.publishes
        )
    )


def _is_over(delivery: Delivery, before: int) -> bool:
    """Whether a copy had nothing more to do with a delivery before the event of this number."""
    message, settled = delivery.message, delivery.settled
    ends = [delivery.done, delivery.returned]
    if settled and settled.how in ("nack", "reject"):
        ends.append(settled.event)
    elif settled and settled.how == "ack":
        first = message.first_done
        handed_on = [p.event for p in message.publishes if p.event.n > delivery.event.n]
        ends += [first.event if first else None, *handed_on]
    return any(end is not None and end.n < before for end in ends)
