"""What a sequence diagram is made of: lifelines, and steps from one to another.

Plain frozen values. `sequence_reading` makes them of a journal's events,
`sequence_folding` leaves out what is quiet, `sequence_svg` and `sequence_text`
draw what is left. A step is an arrow where it has a source and a target, else a
mark beside its one lifeline; `EDGE` is the broker as a whole, no queue of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from labs.pictures.letters import fit

EDGE = "the broker"
"""The lifeline's key where a step is with the broker itself: to connect, an unroutable message."""
OUTSIDE = "outside"
"""Where a message comes from that the judge publishes, and a line that it writes to a program."""


class Kind(StrEnum):
    """What sort of step it is: what it looks like, and whether it may be folded away."""

    CONNECT = "connect"
    SETUP = "setup"  # declare, qos, consume: what a program asks for before its work
    PUBLISH = "publish"
    DELIVER = "deliver"
    SETTLE = "settle"  # a good end of a message: ack, or a commit of acks
    REFUSE = "refuse"  # nack and reject of either side, a returned message
    CONFIRM = "confirm"
    SAY = "say"  # a line that a program printed
    PROCESS = "process"  # it was started, it ended
    BLOW = "blow"  # a kill, a freeze, a fault, a lost connection
    CLOSE = "close"
    HEARTBEAT = "heartbeat"
    LOOK = "look"  # the judge looked at a queue, or took out what was left
    NOTE = "note"
    FOLD = "fold"  # stands for several that are left out


class Fate(StrEnum):
    """What became of an arrow on its way."""

    ARRIVED = "arrived"
    SWALLOWED = "swallowed"  # sent, and kept from the other side by a fault
    FORGED = "forged"  # not sent by the other side: a fault made or changed it


class Place(StrEnum):
    """What a lifeline stands for."""

    CLIENT = "client"
    EXCHANGE = "exchange"
    QUEUE = "queue"
    BROKER = "broker"


@dataclass(frozen=True)
class Lifeline:
    """One column of the diagram."""

    key: str
    name: str
    place: Place


@dataclass(frozen=True)
class Step:
    """One row of the diagram; `label` is `verb`, `body` and `after`."""

    kind: Kind
    at_s: float
    events: tuple[int, ...]
    """The journal's events that it stands for, by `Event.n`."""
    source: str = ""
    target: str = ""
    """Keys of lifelines, or EDGE, OUTSIDE; an empty target: a mark beside the source."""
    verb: str = ""
    body: str = ""
    """The message's body as it is shown; the one part of a label that is cut where room is short"""
    after: str = ""
    bodies: tuple[str, ...] = ()
    """The messages that it is about, by their whole bodies."""
    connection: int | None = None
    fate: Fate = Fate.ARRIVED
    quiet: bool = False
    """Not shown, unless it is asked for: heartbeats, looks at a queue, closing what is done."""

    until_s: float | None = None
    """When the last of those ended that it stands for; None: it is one alone."""

    @property
    def ended_s(self) -> float:
        """When all of it had happened."""
        return self.at_s if self.until_s is None else self.until_s

    @property
    def label(self) -> str:
        """All its words in one line."""
        return " ".join(part for part in (self.verb, self.body, self.after) if part)

    def words(self, room: int) -> str:
        """The label in at most `room` columns."""
        verb = self.verb
        if self.source == OUTSIDE and room < 2 * len(verb):
            verb = "judge:"  # the body says more than the verb
        return fit(verb, self.body, self.after, room)

    @property
    def sort(self) -> tuple[str, ...]:
        """What it has in common with steps like it, whatever the message and the moment."""
        return (self.kind, self.source, self.target, self.verb, self.after, self.fate)


@dataclass(frozen=True)
class Span:
    """A stretch of a lifeline between two events: a connection, a life, a standstill."""

    lifeline: str
    first: int
    """The event it begins with, by `Event.n`."""
    last: int | None
    """The event it ends with; None: it goes on to the end."""
    connection: int | None = None


@dataclass(frozen=True)
class Story:
    """A whole diagram before it is drawn."""

    title: str
    lifelines: tuple[Lifeline, ...]
    """From left to right: clients, the broker's own side by side, clients."""
    steps: tuple[Step, ...]
    connections: tuple[Span, ...] = ()
    lives: tuple[Span, ...] = ()
    """When each process lived; of a client that has none here it is not known: always."""
    frozen: tuple[Span, ...] = ()

    def names(self) -> Mapping[str, str]:
        """The lifelines' names by their keys."""
        return {EDGE: "the broker"} | {lifeline.key: lifeline.name for lifeline in self.lifelines}

    def rows(self, span: Span) -> range:
        """The rows that a span covers, by their indices."""
        after = (i for i, step in enumerate(self.steps) if max(step.events) >= span.first)
        first = next(after, len(self.steps))
        if span.last is None:
            return range(first, len(self.steps))
        before = [i for i, step in enumerate(self.steps) if min(step.events) <= span.last]
        return range(first, before[-1] + 1 if before else 0)

    def in_words(self) -> str:
        """The story as text, a line a step: the picture's alternative for who can't see it."""
        names = self.names()
        lines = [f"{self.title}. {_counted(len(self.steps))}."]
        lines += [f"{step.at_s:.3f} s, {_told(step, names)}." for step in self.steps]
        return "\n".join(lines)


def _told(step: Step, names: Mapping[str, str]) -> str:
    fate = {
        Fate.SWALLOWED: ", lost on the way",
        Fate.FORGED: ", made by the fault and not by the broker",
    }.get(step.fate, "")
    if not step.source and not step.target:
        return step.label + fate
    where = names.get(step.source, step.source)
    if step.target:
        target = names.get(step.target, step.target)
        where = f"to {target}" if step.source == OUTSIDE else f"{where} to {target}"
    return f"{where}: {step.label}{fate}"


def _counted(steps: int) -> str:
    return f"{steps} step{'' if steps == 1 else 's'}"


def listed(bodies: Sequence[str]) -> str:
    """Several messages in few words: one, both, or the first and the last."""
    if len(bodies) <= 2:
        return ", ".join(bodies)
    return f"{bodies[0]} … {bodies[-1]}"
