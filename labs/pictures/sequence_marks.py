"""What is no frame: what processes do and suffer, what the judge and its faults do, as steps.

Most are marks beside a lifeline: a start, a kill, a line that was printed. `Marks` takes
such events in their order and keeps who lives, who is frozen, and who was asked to stop,
for what follows from that is no surprise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from labs.journal import Event
from labs.pictures.sequence_lifelines import Clients, queue_key
from labs.pictures.sequence_steps import EDGE, OUTSIDE, Kind, Span, Step

SAID = re.compile(r"\s*(?:\[[^\]]*\]\s*)?(done|sent)\s(.*?)\r?", re.IGNORECASE | re.DOTALL)
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


class Marks:
    """Steps of events that are no frames: `step`. `lives` and `frozen` are by then."""

    def __init__(self, clients: Clients, queue: str) -> None:
        self.lives: list[Span] = []
        self.frozen: list[Span] = []
        self._clients = clients
        self._queue = queue  # where the judge publishes
        self._killed: set[str] = set()
        self._asked: set[str] = set()
        self._makers: dict[str, Callable[[Event], Step]] = {
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

    def step(self, event: Event) -> Step | None:
        """The step that an event is; None: it is none of these."""
        make = self._makers.get(event.kind)
        return make(event) if make else None

    def was_asked_to_stop(self, client: str) -> bool:
        """Whether it is no blow that a client's connection ends now."""
        return client in self._asked

    def mark(
        self,
        event: Event,
        kind: Kind,
        verb: str,
        *,
        body: str | None = None,
        after: str = "",
        at: str = "",
        quiet: bool = False,
    ) -> Step:
        """Something beside a lifeline: `at`, or the one that the event is about."""
        lifeline = at or self._clients.key(event)
        bodies = () if body is None else (body,)
        step = Step(kind, event.at_s, (event.n,), lifeline, "", verb, body or "", after, bodies)
        return replace(step, connection=event.connection, quiet=quiet)

    def _started(self, event: Event) -> Step:
        client = self._clients.key(event)
        again = any(span.lifeline == client for span in self.lives)
        self.lives.append(Span(client, event.n, None))
        self._killed.discard(client)
        self._asked.discard(client)
        return self.mark(event, Kind.PROCESS, "started again" if again else "started")

    def _signal(self, event: Event) -> Step:
        client = self._clients.key(event)
        if event.name == "terminate":
            self._asked.add(client)
        if event.name == "freeze":
            self.frozen.append(Span(client, event.n, None))
        if event.name in ("thaw", "kill"):
            _end(self.frozen, client, event.n)
        if event.name == "kill":
            if not any(span.lifeline == client for span in self.lives):
                self.lives.append(Span(client, 0, None))  # its start is not on record
            _end(self.lives, client, event.n)
            self._killed.add(client)
        kind = Kind.BLOW if event.name in ("kill", "freeze") else Kind.PROCESS
        return self.mark(event, kind, SIGNALS.get(event.name, event.name))

    def _exited(self, event: Event) -> Step:
        client = self._clients.key(event)
        _end(self.lives, client, event.n)
        _end(self.frozen, client, event.n)
        status = event.data.get("status")
        asked = bool(event.data.get("asked")) or client in self._killed
        words = "ended"
        if isinstance(status, int):
            words = f"ended (exit code {status})" if status >= 0 else f"ended (signal {-status})"
        kind = Kind.BLOW if status else Kind.PROCESS
        return self.mark(event, kind, words, quiet=asked)

    def _line(self, event: Event) -> Step:
        text = str(event.data.get("text", ""))
        if (said := SAID.fullmatch(text)) is not None:
            return self.mark(event, Kind.SAY, said[1].lower(), body=said[2].strip())
        return self.mark(event, Kind.SAY, f"prints {text}", quiet=True)

    def _input(self, event: Event) -> Step:
        if event.name == "end":
            return self.mark(event, Kind.SAY, "end of input")
        return self.mark(
            event, Kind.SAY, "reads", body=str(event.data.get("text", "")).rstrip("\r\n")
        )

    def _published(self, event: Event) -> Step:
        body, queue = str(event.data.get("body", "")), str(event.data.get("queue") or self._queue)
        step = self.mark(event, Kind.PUBLISH, "judge publishes", body=body, at=OUTSIDE)
        return replace(step, target=queue_key(queue))

    def _looked(self, event: Event) -> Step:
        held = event.data.get("unacknowledged")
        words = f"{event.data.get('ready', 0)} ready" + (f", {held} out" if held else "")
        at = queue_key(str(event.data.get("queue", "")))
        return self.mark(event, Kind.LOOK, words, at=at, quiet=True)

    def _left(self, event: Event) -> Step:
        at = queue_key(str(event.data.get("queue", "")))
        return self.mark(event, Kind.LOOK, "left:", body=str(event.data.get("body", "")), at=at)

    def _fault(self, event: Event) -> Step:
        how = str(event.data.get("how") or "")
        words = FAULTS.get(event.name, event.name)
        if frame := str(event.data.get("frame") or ""):
            words = f"the {frame.rpartition('.')[2]} gets lost" if event.name == "lose" else words
        at = EDGE if event.name in OF_THE_BROKER else ""
        if event.name == "delete-queue" and event.data.get("queue"):
            at = queue_key(str(event.data["queue"]))
        # What the broker is made to ask for is told by the arrow *connect*, with the answer.
        quiet = event.name == "ask-heartbeat"
        return self.mark(
            event, Kind.BLOW, words, after=f"({how})" if how else "", at=at, quiet=quiet
        )

    def _note(self, event: Event) -> Step:
        words = NOTES.get(event.name) or QUIET_NOTES.get(event.name, event.name)
        details = str(event.data.get("what") or "")
        if event.name == "stderr":
            details = (str(event.data.get("tail") or "").split("\n") or [""])[-1]
        return self.mark(event, Kind.NOTE, words, after=details, quiet=event.name not in NOTES)


def _end(spans: list[Span], lifeline: str, n: int) -> None:
    """Close the last span of a lifeline, if it is open."""
    for index in reversed(range(len(spans))):
        if spans[index].lifeline == lifeline:
            if spans[index].last is None:
                spans[index] = replace(spans[index], last=n)
            return
