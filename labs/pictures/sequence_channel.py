"""What one channel's frames add up to: whole messages, and which of them an ack is about.

A message comes in pieces: the method, a header that says how long the body is, and
the body in any number of frames. An ack names only a number: the nth delivery, or
the nth publish, of its channel. A `Channel` keeps both in mind. Frames go in, in
their order; `Message`s come out. It draws nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from labs.journal import Event
from labs.pictures.sequence_steps import Fate


@dataclass(frozen=True)
class Message:
    """One message on its way over the wire: a publish, a delivery or a return."""

    method: Event
    """The frame it begins with: basic.publish, basic.deliver, basic.get-ok or basic.return."""
    body: str
    """Its text; where that is not known, another name: its message id, or how long it is."""
    events: tuple[int, ...]
    fate: Fate


@dataclass
class _Pieces:
    method: Event
    events: list[int]
    size: int = 0
    come: int = 0
    text: str | None = None
    message_id: str = ""
    fate: Fate = Fate.ARRIVED

    def message(self, bodies: Mapping[str, str]) -> Message:
        """The message as far as it has come; `bodies`: by message ids."""
        body = self.text if self.size else ""
        if body is None:
            body = bodies.get(self.message_id) or self.message_id or f"({self.size} bytes)"
        return Message(self.method, body, tuple(self.events), self.fate)


@dataclass(frozen=True)
class Consumer:
    """What was asked for with basic.consume or basic.get."""

    queue: str
    no_ack: bool


NOBODY = Consumer("", no_ack=False)


@dataclass(frozen=True)
class Delivered:
    """A delivery, or a publish, that waits for its ack: which message, and its lifeline's key."""

    body: str
    lifeline: str


@dataclass
class Channel:
    """One channel of one connection, as its frames have made it so far."""

    consumers: dict[str, Consumer] = field(default_factory=dict)
    asked: deque[Consumer] = field(default_factory=deque)
    """The consumers that wait for their consume-ok."""
    getting: Consumer = NOBODY
    declared: str = ""
    """The queue that was declared last: what an empty name means."""
    unsettled: dict[int, Delivered] = field(default_factory=dict)
    """Deliveries by their tags, until they are settled."""
    confirms: bool = False
    published: int = 0
    """How many, since confirms were asked for."""
    unconfirmed: dict[int, Delivered] = field(default_factory=dict)
    """Publishes by their numbers, until they are confirmed."""
    _coming: dict[str, _Pieces] = field(default_factory=dict)

    def piece(self, event: Event, bodies: Mapping[str, str]) -> Message | None:
        """Take a content frame: the method, the header or a body; the message, once it is whole."""
        side = event.side or ""
        if event.name not in ("header", "body"):
            self._coming[side] = _Pieces(event, [event.n], fate=fate_of(event))
            return None
        pieces = self._coming.get(side)
        if pieces is None:
            return None  # the recording began in the middle
        pieces.events.append(event.n)
        if pieces.fate is Fate.ARRIVED:
            pieces.fate = fate_of(event)
        if event.name == "header":
            pieces.size = int(event.data.get("body_size", 0))
            properties = event.data.get("properties") or {}
            pieces.message_id = str(properties.get("message_id") or "")
        else:
            whole = pieces.come == 0 and int(event.data.get("size", 0)) == pieces.size
            pieces.text = event.data.get("text") if whole else None
            pieces.come += int(event.data.get("size", 0))
        return self.torn(side, bodies) if pieces.come >= pieces.size else None

    def torn(self, side: str, bodies: Mapping[str, str]) -> Message | None:
        """What has come of a message up to now; it is not waited for any more."""
        pieces = self._coming.pop(side, None)
        return pieces.message(bodies) if pieces else None

    def settled(self, tag: int, *, multiple: bool) -> list[Delivered]:
        """The deliveries that an ack, nack or reject is about; none: it knows of no such tag."""
        return _taken(self.unsettled, tag, multiple)

    def confirmed(self, tag: int, *, multiple: bool) -> list[Delivered]:
        """The publishes that the broker's ack or nack is about."""
        return _taken(self.unconfirmed, tag, multiple)


def fate_of(event: Event) -> Fate:
    """Whether a frame came from the one side to the other unharmed."""
    if event.data.get("swallowed"):
        return Fate.SWALLOWED
    return Fate.FORGED if event.data.get("forged") else Fate.ARRIVED


def _taken(waiting: dict[int, Delivered], tag: int, multiple: bool) -> list[Delivered]:
    tags = [t for t in waiting if t <= tag or tag == 0] if multiple else [tag]
    return [waiting.pop(t) for t in sorted(tags) if t in waiting]
