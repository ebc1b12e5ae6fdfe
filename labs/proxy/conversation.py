"""A connection through the proxy, with no socket: its two links, and what both know.

Whoever has the sockets tells it what each side sent and what the time is, asks `take`
of each link what is to be sent on, comes again at `due_s`, and cuts the connection at
`cut_at_s`. All that happens to it happens in one thread, so that the journal's order
is the wire's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labs.journal import Journal
from labs.proxy.armory import Armory
from labs.proxy.channels import Channel
from labs.proxy.faults import BROKER, CLIENT, Fault, How, Side
from labs.proxy.link import Link


class Conversation:
    """One connection, numbered, that came in through a door."""

    def __init__(
        self,
        number: int,
        door: str,
        armory: Armory,
        journal: Journal,
        *,
        before_settle: Callable[[], object] | None = None,
        keep_bodies: bool = True,
    ) -> None:
        self.number = number
        self.door = door
        self.armory = armory
        self.journal = journal
        self.before_settle = before_settle
        self.keep_bodies = keep_bodies
        self.now_s = 0.0
        self.channels: dict[int, Channel] = {}
        self.is_severed = False
        """Nothing passes any more, either way."""
        self.cut_how: How = "reset"
        self.cut_at_s: float | None = None
        """When the sockets are to be cut; None: they aren't."""
        self.to_broker = Link(self, CLIENT)
        self.to_client = Link(self, BROKER)

    def link(self, side: Side) -> Link:
        """The link that carries what this side sends."""
        return self.to_broker if side == CLIENT else self.to_client

    def receive(self, side: Side, data: bytes, now_s: float) -> None:
        """This side sent these bytes."""
        self.now_s = now_s
        self.link(side).receive(data)

    def end(self, side: Side, now_s: float) -> None:
        """This side sends no more."""
        self.now_s = now_s
        self.link(side).end()

    def tick(self, now_s: float) -> None:
        """Time has passed."""
        self.now_s = now_s
        self.to_broker.pump()
        self.to_client.pump()

    def release(self, fault: Fault, now_s: float) -> None:
        """A fault is over: what waited because of it passes."""
        self.to_broker.release(fault)
        self.to_client.release(fault)
        self.tick(now_s)

    @property
    def due_s(self) -> float | None:
        """When `tick`, or the cut, is due; None: nothing waits for time to pass."""
        times = (self.to_broker.due_s, self.to_client.due_s, self.cut_at_s)
        return min((time for time in times if time is not None), default=None)

    @property
    def is_finished(self) -> bool:
        """Whether both sides have said all, and all of it has passed."""
        return self.to_broker.is_finished and self.to_client.is_finished

    def sever(self, how: How, after_s: float = 0.0) -> None:
        """Let nothing pass any more; the sockets are to be cut after so many seconds."""
        self.is_severed = True
        self.cut_how, self.cut_at_s = how, self.now_s + after_s

    def channel(self, number: int) -> Channel:
        """What is known of the channel."""
        found = self.channels.get(number)
        if found is None:
            found = self.channels[number] = Channel()
        return found

    def tell_fault(self, name: str, channel: int | None = None, **data: Any) -> None:
        """Put on record that a fault struck."""
        self.journal.append(
            "fault", name, copy=self.door, connection=self.number, channel=channel, data=data
        )
