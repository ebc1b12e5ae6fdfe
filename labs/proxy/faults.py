"""What can go wrong on a connection, as frozen values: each says what, and when.

A fault is placed by what is said, never by the clock: its one method, `meets`, tells
whether a frame is one of those it waits for, and it strikes at the `nth` of them,
counted over all connections since it was armed. Most strike once; those whose
`lasts` is true go on until they are released. `withholds`: what it strikes at goes no
further. How a fault is carried out is the links' business.

A message counts as one with the method that carries it: a `basic.publish` is met
when the method comes, and struck with its header and body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

Side = Literal["client", "broker"]
"""Who sent a frame."""
CLIENT: Side = "client"
BROKER: Side = "broker"
How = Literal["reset", "silent"]
"""How a connection is cut: both ends are told, or the bytes vanish and nobody is."""


class Here(NamedTuple):
    """A frame on its way, as faults look at it."""

    name: str
    side: Side
    door: str
    connection: int
    channel: int
    queue: str | None
    """The queue that it is about, where that is known."""
    confirms: bool
    """Whether the channel is in confirm mode."""


@dataclass(frozen=True)
class Moment:
    """The nth method (or heartbeat) of this name from this side.

    None stands for whatever door, channel or queue.
    """

    name: str
    side: Side
    door: str | None = None
    nth: int = 1
    channel: int | None = None
    queue: str | None = None

    def meets(self, here: Here) -> bool:
        """Whether this frame is one that is counted."""
        return (
            here.name == self.name
            and here.side == self.side
            and self.door in (None, here.door)
            and self.channel in (None, here.channel)
            and self.queue in (None, here.queue)
        )


@dataclass(frozen=True)
class Cut:
    """From the moment on nothing passes either way; `hold_s` later the connection is cut.

    `before`: the moment's own frame, with its message, does not reach the other side.
    """

    name: ClassVar[str] = "cut"
    lasts: ClassVar[bool] = False
    at: Moment
    how: How = "reset"
    before: bool = True
    hold_s: float = 0.0

    @property
    def nth(self) -> int:
        """At which of those that it meets it strikes."""
        return self.at.nth

    @property
    def withholds(self) -> bool:
        """Whether what it strikes at goes no further."""
        return self.before

    def meets(self, here: Here) -> bool:
        """Whether this frame is one that it waits for."""
        return self.at.meets(here)


@dataclass(frozen=True)
class Stall:
    """After the moment's frame, what `side` sends on that connection waits until released."""

    name: ClassVar[str] = "stall"
    lasts: ClassVar[bool] = False
    withholds: ClassVar[bool] = False
    at: Moment
    side: Side

    @property
    def nth(self) -> int:
        """At which of those that it meets it strikes."""
        return self.at.nth

    def meets(self, here: Here) -> bool:
        """Whether this frame is one that it waits for."""
        return self.at.meets(here)


@dataclass(frozen=True)
class Lose:
    """That one frame, with its message, never reaches the other side: an ack, say."""

    name: ClassVar[str] = "lose"
    lasts: ClassVar[bool] = False
    withholds: ClassVar[bool] = True
    at: Moment

    @property
    def nth(self) -> int:
        """At which of those that it meets it strikes."""
        return self.at.nth

    def meets(self, here: Here) -> bool:
        """Whether this frame is one that it waits for."""
        return self.at.meets(here)


@dataclass(frozen=True)
class Delay:
    """What is sent arrives `delay_s` seconds later, in order."""

    name: ClassVar[str] = "delay"
    lasts: ClassVar[bool] = True
    withholds: ClassVar[bool] = False
    nth: ClassVar[int] = 1
    delay_s: float
    side: Side | None = None
    door: str | None = None

    def meets(self, here: Here) -> bool:
        """Whether this frame is one of those that come late."""
        return self.side in (None, here.side) and self.door in (None, here.door)


@dataclass(frozen=True)
class RefusePublish:
    """The nth publish to be confirmed is not passed on, and answered with a nack at once."""

    name: ClassVar[str] = "refuse-publish"
    lasts: ClassVar[bool] = False
    withholds: ClassVar[bool] = True
    nth: int = 1
    door: str | None = None

    def meets(self, here: Here) -> bool:
        """Whether this is a publish on a channel in confirm mode."""
        return _is_to_be_confirmed(here, self.door)


@dataclass(frozen=True)
class DropConfirm:
    """The nth publish to be confirmed is passed on, and its confirm never arrives."""

    name: ClassVar[str] = "drop-confirm"
    lasts: ClassVar[bool] = False
    withholds: ClassVar[bool] = False
    nth: int = 1
    door: str | None = None

    def meets(self, here: Here) -> bool:
        """Whether this is a publish on a channel in confirm mode."""
        return _is_to_be_confirmed(here, self.door)


@dataclass(frozen=True)
class ConfirmTogether:
    """Confirms wait until there are `n` of them or `within_s` has passed: then one says all."""

    name: ClassVar[str] = "confirm-together"
    lasts: ClassVar[bool] = True
    withholds: ClassVar[bool] = False
    nth: ClassVar[int] = 1
    n: int = 10
    within_s: float = 0.05
    door: str | None = None

    def meets(self, here: Here) -> bool:
        """Whether this is a confirm."""
        return here.name == "basic.ack" and here.side == BROKER and self.door in (None, here.door)


@dataclass(frozen=True)
class HoldHeartbeats:
    """Heartbeats of `side` don't arrive; with `after`: on a connection that has met it."""

    name: ClassVar[str] = "hold-heartbeats"
    lasts: ClassVar[bool] = True
    withholds: ClassVar[bool] = True
    nth: ClassVar[int] = 1
    side: Side
    door: str | None = None
    after: Moment | None = None

    def meets(self, here: Here) -> bool:
        """Whether this is a heartbeat of that side."""
        return (
            here.name == "heartbeat" and here.side == self.side and self.door in (None, here.door)
        )


@dataclass(frozen=True)
class AskHeartbeat:
    """The broker seems to ask for this heartbeat; what the client answers reaches it unchanged."""

    name: ClassVar[str] = "ask-heartbeat"
    lasts: ClassVar[bool] = True
    withholds: ClassVar[bool] = False
    nth: ClassVar[int] = 1
    heartbeat_s: int
    door: str | None = None

    def meets(self, here: Here) -> bool:
        """Whether this is the broker's offer."""
        return here.name == "connection.tune" and self.door in (None, here.door)


Fault = (
    Cut
    | Stall
    | Lose
    | Delay
    | RefusePublish
    | DropConfirm
    | ConfirmTogether
    | HoldHeartbeats
    | AskHeartbeat
)


def _is_to_be_confirmed(here: Here, door: str | None) -> bool:
    return (
        here.name == "basic.publish"
        and here.side == CLIENT
        and here.confirms
        and door in (None, here.door)
    )
