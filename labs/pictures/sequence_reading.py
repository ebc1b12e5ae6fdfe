"""A journal's events, read into the steps of a diagram.

`read` walks the events once, in their order, and keeps what is needed to understand
the next one: the channels, which connection closes in an orderly way, who lives. A
login of some ten frames becomes one arrow, *connect*. Events go in, all steps come
out, the quiet ones too; what is shown of them is decided elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from labs.journal import Event
from labs.pictures.sequence_channel import Channel
from labs.pictures.sequence_frames import CONTENT, METHODS, Frame, Queues, of_message
from labs.pictures.sequence_lifelines import Clients, clients_of
from labs.pictures.sequence_marks import Marks
from labs.pictures.sequence_requests import Requests
from labs.pictures.sequence_steps import EDGE, Kind, Span, Step

NAMES_A_QUEUE = {"queue.declare", "queue.declare-ok", "basic.consume", "basic.get"}


@dataclass
class Reading:
    """All that the events tell: the steps, and what lasts from one event to another."""

    clients: Clients
    steps: list[Step] = field(default_factory=list)
    connections: list[Span] = field(default_factory=list)
    lives: list[Span] = field(default_factory=list)
    frozen: list[Span] = field(default_factory=list)


def read(events: Sequence[Event]) -> Reading:
    """Read one journal."""
    reader = _Reader(events)
    for event in events:
        reader.take(event)
    return reader.reading


class _Reader:
    def __init__(self, events: Sequence[Event]) -> None:
        clients = clients_of(events)
        queue = next((str(e.data["queue"]) for e in events if e.data.get("queue")), "")
        self._marks = Marks(clients, queue)
        self._requests = Requests(clients)
        self.reading = Reading(clients, lives=self._marks.lives, frozen=self._marks.frozen)
        self._bodies = {
            str(event.data["message_id"]): str(event.data.get("body", ""))
            for event in events
            if event.kind == "published" and event.data.get("message_id")
        }
        self._queues = queues_of(events)
        self._channels: dict[tuple[int | None, int | None], Channel] = defaultdict(Channel)
        self._logins: dict[int | None, int] = {}  # connection -> index of its step
        self._parting: set[int | None] = set()  # connections that say goodbye

    def take(self, event: Event) -> None:
        """Read the next event."""
        if event.kind == "connected":
            self._connected(event)
        elif event.kind == "disconnected":
            self._disconnected(event)
        elif event.kind == "frame":
            self._frame(event)
        elif (step := self._requests.step(event) or self._marks.step(event)) is not None:
            self._add(step)

    def _add(self, step: Step) -> None:
        self.reading.steps.append(step)

    def _arrow(self, event: Event, kind: Kind, source: str, target: str, verb: str) -> Step:
        step = Step(kind, event.at_s, (event.n,), source, target, verb)
        return replace(step, connection=event.connection)

    # Connections

    def _connected(self, event: Event) -> None:
        client = self.reading.clients.key(event)
        self._logins[event.connection] = len(self.reading.steps)
        self.reading.connections.append(Span(client, event.n, None, event.connection))
        self._add(self._arrow(event, Kind.CONNECT, client, EDGE, "connect"))

    def _login(self, event: Event) -> bool:
        """Whether a frame belongs to a login; then it is told by the arrow *connect*."""
        if event.connection not in self._logins:
            return False
        index = self._logins[event.connection]
        step = self.reading.steps[index]
        if event.name == "connection.close" and event.side == "broker":
            step = replace(step, after="refused")
        if event.name == "connection.tune-ok":
            heartbeat = int(event.data.get("heartbeat") or 0)
            words = f"(heartbeat {heartbeat} s)" if heartbeat else "(no heartbeat)"
            step = replace(step, after=words)
        self.reading.steps[index] = replace(step, events=(*step.events, event.n))
        if event.name in ("connection.open-ok", "connection.close"):
            del self._logins[event.connection]
        return event.name != "connection.close"

    def _disconnected(self, event: Event) -> None:
        spans = self.reading.connections
        for index, span in enumerate(spans):
            if span.connection == event.connection and span.last is None:
                spans[index] = replace(span, last=event.n)
        for (connection, _), channel in list(self._channels.items()):
            if connection == event.connection:
                for side in ("client", "broker"):
                    self._message(event, channel, side)
        self._channels = defaultdict(
            Channel, {k: v for k, v in self._channels.items() if k[0] != event.connection}
        )
        by, how = str(event.data.get("by", "")), str(event.data.get("how", ""))
        client = self.reading.clients.key(event)
        asked = self._marks.was_asked_to_stop(client) and by == "client"
        orderly = asked or event.connection in self._parting
        last = self.reading.steps[-1] if self.reading.steps else None
        struck = last and last.kind is Kind.BLOW and last.connection == event.connection
        if last and struck and by != "client":
            self.reading.steps[-1] = replace(last, events=(*last.events, event.n))
        else:
            who = {"broker": "the broker ends it"}.get(by, "")
            after = ", ".join(part for part in (who, how) if part and part != "closed")
            after = f"({after})" if after else ""
            lost = self._marks.mark(event, Kind.BLOW, "connection lost", after=after)
            self._add(replace(lost, quiet=orderly))
        self._parting.discard(event.connection)

    # Frames

    def _frame(self, event: Event) -> None:
        if event.name == "heartbeat":
            self._heartbeat(event)
            return
        if event.name == "protocol-header" or event.name.startswith("connection."):
            if self._login(event):
                return
            if event.name == "connection.close":
                self._parting.add(event.connection)
        channel = self._channels[event.connection, event.channel]
        if event.name in CONTENT:
            if (message := channel.piece(event, self._bodies)) is not None:
                frame = self._understood(message.method, channel)
                self._add(replace(of_message(frame, message), at_s=event.at_s))
            return
        make = METHODS.get((event.side or "", event.name))
        if make and (step := make(self._understood(event, channel))):
            self._add(step)
        if event.name == "channel.close":
            del self._channels[event.connection, event.channel]

    def _understood(self, event: Event, channel: Channel) -> Frame:
        return Frame(event, self.reading.clients.key(event), channel, self._queues)

    def _message(self, event: Event, channel: Channel, side: str) -> None:
        """A message of which the last part never came."""
        message = channel.torn(side, self._bodies)
        if message is not None:
            step = of_message(self._understood(message.method, channel), message)
            self._add(replace(step, after=f"{step.after} torn off".strip(), at_s=event.at_s))

    def _heartbeat(self, event: Event) -> None:
        client = self.reading.clients.key(event)
        ends = (client, EDGE) if event.side == "client" else (EDGE, client)
        self._add(replace(self._arrow(event, Kind.HEARTBEAT, *ends, "heartbeat"), quiet=True))


def queues_of(events: Sequence[Event]) -> Queues:
    """Which queues the events tell of."""
    named = {
        str(event.data["queue"])
        for event in events
        if event.data.get("queue") and (event.kind != "frame" or event.name in NAMES_A_QUEUE)
    }
    returned = {
        str(event.data.get("routing_key"))
        for event in events
        if event.name == "basic.return" and not event.data.get("exchange")
    }
    return Queues(frozenset(named), frozenset(returned - named))
