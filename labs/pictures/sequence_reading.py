"""A journal's events, read into the steps of a diagram.

`read` walks the events once, in their order, and keeps what is needed to understand
the next one: the channels, which connection closes in an orderly way, who lives. A
login of some ten frames becomes one arrow, *connect*. Events go in, all steps come
out, the quiet ones too; what is shown of them is decided elsewhere.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from labs.journal import Event
from labs.pictures.sequence_channel import Channel
from labs.pictures.sequence_frames import CONTENT, METHODS, Frame, Queues, of_message
from labs.pictures.sequence_lifelines import Clients, clients_of, queue_key
from labs.pictures.sequence_steps import EDGE, OUTSIDE, Kind, Span, Step

SAID = re.compile(r"\s*(?:\[[^\]]*\]\s*)?(done|sent)\s(.*?)\r?", re.IGNORECASE | re.DOTALL)
NAMES_A_QUEUE = {"queue.declare", "queue.declare-ok", "basic.consume", "basic.get"}
SIGNALS = {"kill": "killed", "freeze": "frozen", "thaw": "goes on", "terminate": "asked to stop"}
FAULTS = {
    "cut": "the connection is cut",
    "delay": "the network becomes slow",
    "stall": "the network stands still",
    "drop-confirm": "a confirm gets lost",
    "refuse-publish": "the broker refuses a publish",
    "confirm-together": "confirms come together",
    "hold-heartbeats": "heartbeats are held back",
    "ask-heartbeat": "the broker asks for heartbeats",
    "lose": "a frame gets lost",
    "close-by-broker": "the broker closes the connection",
    "away": "the broker is away",
    "back": "the broker is back",
    "restart": "the broker restarts",
    "delete-queue": "the queue is deleted",
}
NOTES = {
    "gave-up": "the judge gives up waiting",
    "fault-missed": "a fault struck nothing",
    "trouble": "broker or kit failed",
    "locked": "the queue is locked",
    "forked": "the program starts too many processes",
    "flooded": "the program floods its output",
    "escaped": "a child process escaped",
    "not-stopped": "it did not stop when asked",
    "never-connected": "it never connected",
}


QUIET_NOTES = {
    "finished": "all that was waited for came true",
    "stderr": "standard error:",
}
"""Shown only where a verdict is about them."""
OF_THE_BROKER = {"away", "back", "restart"}
"""Faults that befall the broker, through whatever door."""


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
        self.reading = Reading(clients_of(events))
        self._bodies = {
            str(event.data["message_id"]): str(event.data.get("body", ""))
            for event in events
            if event.kind == "published" and event.data.get("message_id")
        }
        self._queue = next((str(e.data["queue"]) for e in events if e.data.get("queue")), "")
        self._queues = queues_of(events)
        self._channels: dict[tuple[int | None, int | None], Channel] = defaultdict(Channel)
        self._logins: dict[int | None, int] = {}  # connection -> index of its step
        self._parting: set[int | None] = set()  # connections that say goodbye
        self._killed: set[str] = set()
        self._asked: set[str] = set()  # to stop: that its connection ends then is no blow
        self._readers: dict[str, Callable[[Event], None]] = {
            "connected": self._connected,
            "disconnected": self._disconnected,
            "frame": self._frame,
            "fault": self._fault,
            "started": self._started,
            "exited": self._exited,
            "signal": self._signal,
            "line": self._line,
            "input": self._input,
            "published": self._published,
            "queue": self._looked,
            "left": self._left,
            "note": self._note,
        }

    def take(self, event: Event) -> None:
        """Read the next event."""
        if (read_it := self._readers.get(event.kind)) is not None:
            read_it(event)

    def _add(self, step: Step) -> None:
        self.reading.steps.append(step)

    def _mark(
        self,
        event: Event,
        kind: Kind,
        verb: str,
        *,
        body: str | None = None,
        after: str = "",
        at: str = "",
        quiet: bool = False,
    ) -> None:
        """Something beside a lifeline: `at`, or the one that the event is about."""
        lifeline = at or self.reading.clients.key(event)
        bodies = () if body is None else (body,)
        step = Step(kind, event.at_s, (event.n,), lifeline, "", verb, body or "", after, bodies)
        self._add(replace(step, connection=event.connection, quiet=quiet))

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
        asked = self.reading.clients.key(event) in self._asked and by == "client"
        orderly = asked or event.connection in self._parting
        last = self.reading.steps[-1] if self.reading.steps else None
        struck = last and last.kind is Kind.BLOW and last.connection == event.connection
        if last and struck and by != "client":
            self.reading.steps[-1] = replace(last, events=(*last.events, event.n))
        else:
            who = {"broker": "the broker ends it"}.get(by, "")
            after = ", ".join(part for part in (who, how) if part and part != "closed")
            after = f"({after})" if after else ""
            self._mark(event, Kind.BLOW, "connection lost", after=after, quiet=orderly)
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

    # Processes, and what the judge does

    def _started(self, event: Event) -> None:
        client = self.reading.clients.key(event)
        again = any(span.lifeline == client for span in self.reading.lives)
        self.reading.lives.append(Span(client, event.n, None))
        self._killed.discard(client)
        self._asked.discard(client)
        self._mark(event, Kind.PROCESS, "started again" if again else "started")

    def _signal(self, event: Event) -> None:
        client = self.reading.clients.key(event)
        if event.name == "terminate":
            self._asked.add(client)
        if event.name == "freeze":
            self.reading.frozen.append(Span(client, event.n, None))
        if event.name in ("thaw", "kill"):
            _end(self.reading.frozen, client, event.n)
        if event.name == "kill":
            if not any(span.lifeline == client for span in self.reading.lives):
                self.reading.lives.append(Span(client, 0, None))  # its start is not on record
            _end(self.reading.lives, client, event.n)
            self._killed.add(client)
        kind = Kind.BLOW if event.name in ("kill", "freeze") else Kind.PROCESS
        self._mark(event, kind, SIGNALS.get(event.name, event.name))

    def _exited(self, event: Event) -> None:
        client = self.reading.clients.key(event)
        _end(self.reading.lives, client, event.n)
        _end(self.reading.frozen, client, event.n)
        status = event.data.get("status")
        asked = bool(event.data.get("asked")) or client in self._killed
        words = f"ended (exit code {status})" if isinstance(status, int) else "ended"
        self._mark(event, Kind.PROCESS, words, quiet=asked)

    def _line(self, event: Event) -> None:
        text = str(event.data.get("text", ""))
        if (said := SAID.fullmatch(text)) is not None:
            self._mark(event, Kind.SAY, said[1].lower(), body=said[2].strip())
        else:
            self._mark(event, Kind.SAY, f"prints {text}", quiet=True)

    def _input(self, event: Event) -> None:
        if event.name == "end":
            self._mark(event, Kind.SAY, "end of input")
            return
        self._mark(event, Kind.SAY, "reads", body=str(event.data.get("text", "")).rstrip("\r\n"))

    def _published(self, event: Event) -> None:
        body, queue = str(event.data.get("body", "")), str(event.data.get("queue") or self._queue)
        step = self._arrow(event, Kind.PUBLISH, OUTSIDE, queue_key(queue), "judge publishes")
        self._add(replace(step, body=body, bodies=(body,)))

    def _looked(self, event: Event) -> None:
        held = event.data.get("unacknowledged")
        words = f"{event.data.get('ready', 0)} ready" + (f", {held} out" if held else "")
        at = queue_key(str(event.data.get("queue", "")))
        self._mark(event, Kind.LOOK, words, at=at, quiet=True)

    def _left(self, event: Event) -> None:
        at = queue_key(str(event.data.get("queue", "")))
        self._mark(event, Kind.LOOK, "left:", body=str(event.data.get("body", "")), at=at)

    def _fault(self, event: Event) -> None:
        how = str(event.data.get("how") or "")
        words = FAULTS.get(event.name, event.name)
        if frame := str(event.data.get("frame") or ""):
            words = f"the {frame.rpartition('.')[2]} gets lost" if event.name == "lose" else words
        at = EDGE if event.name in OF_THE_BROKER else ""
        if event.name == "delete-queue" and event.data.get("queue"):
            at = queue_key(str(event.data["queue"]))
        # What the broker is made to ask for is told by the arrow *connect*, with the answer.
        quiet = event.name == "ask-heartbeat"
        self._mark(event, Kind.BLOW, words, after=f"({how})" if how else "", at=at, quiet=quiet)

    def _note(self, event: Event) -> None:
        words = NOTES.get(event.name) or QUIET_NOTES.get(event.name, event.name)
        details = str(event.data.get("what") or "")
        if event.name == "stderr":
            details = (str(event.data.get("tail") or "").split("\n") or [""])[-1]
        self._mark(event, Kind.NOTE, words, after=details, quiet=event.name not in NOTES)


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


def _end(spans: list[Span], lifeline: str, n: int) -> None:
    """Close the last span of a lifeline, if it is open."""
    for index in reversed(range(len(spans))):
        if spans[index].lifeline == lifeline:
            if spans[index].last is None:
                spans[index] = replace(spans[index], last=n)
            return
