"""The broker's confirms on their way to a publisher, where faults have to do with them.

Until a fault has struck on a channel they pass as they are. Afterwards they are said
in the client's numbers, never of those whose confirm is dropped; and where confirms
are to come together, they wait here until there are enough of them or it gets late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.amqp import methods
from labs.proxy.confirms import Confirms, Settled
from labs.proxy.faults import ConfirmTogether, Fault
from labs.proxy.passing import Passing

if TYPE_CHECKING:
    from labs.proxy.link import Link

CONFIRMING = frozenset({"basic.ack", "basic.nack"})


@dataclass
class Together:
    """Confirms of a channel that are to be told at once."""

    confirms: Confirms
    due_s: float
    passing: list[Passing] = field(default_factory=list)
    """As the broker said them."""


class Confirming:
    """What a link does with confirms."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._together: dict[int, Together] = {}
        """By channel."""

    @property
    def due_s(self) -> float | None:
        """When the next held ones are to be told; None: none are held."""
        return min((held.due_s for held in self._together.values()), default=None)

    def pass_on(self, confirms: Confirms, passing: Passing) -> None:
        """A confirm from the broker: as it is, in the client's numbers, later, or never."""
        frame, said = passing.frame, passing.said
        was_plain = confirms.is_plain
        tags = confirms.settle(said.data["delivery_tag"], said.data["multiple"])
        if passing.is_withheld:
            passing.withheld.append(said)
            return
        for tag in tags:
            if tag in confirms.dropped:
                conversation = self._link.conversation
                conversation.tell_fault("drop-confirm", frame.channel, delivery_tag=tag)
        together = [a.fault for a in passing.striking if isinstance(a.fault, ConfirmTogether)]
        if together and tags:
            self._hold(together[0], confirms, tags, passing)
        elif was_plain or not tags:
            self._link.forward(frame, said)
        else:
            self._say(confirms.said_to_client(tags, said.data["multiple"]), passing)

    def tell(self, channel: int = 0) -> None:
        """Tell the client of what is held on this channel; 0: on all."""
        for number in list(self._together):
            if channel in (0, number):
                self._tell(number)

    def tell_due(self, now_s: float) -> None:
        """Tell the client of what is held on channels where it gets late."""
        for number, held in list(self._together.items()):
            if held.due_s <= now_s:
                self._tell(number)

    def release(self, fault: Fault) -> None:
        """The fault is over: if it held anything, that is told."""
        if isinstance(fault, ConfirmTogether):
            self.tell()

    def _hold(
        self, fault: ConfirmTogether, confirms: Confirms, tags: list[int], passing: Passing
    ) -> None:
        channel = passing.channel
        held = self._together.get(channel)
        if held is None:
            due_s = self._link.conversation.now_s + fault.within_s
            held = self._together[channel] = Together(confirms, due_s)
        confirms.held += [tag for tag in tags if tag not in confirms.dropped]
        held.passing.append(passing)
        if len(confirms.held) >= fault.n:
            self._tell(channel)

    def _tell(self, channel: int) -> None:
        held = self._together.pop(channel)
        tags = sorted(held.confirms.held)
        told = held.confirms.release()
        if len(held.passing) == 1:
            self._say(told, held.passing[0])
            return
        link = self._link
        link.conversation.tell_fault("confirm-together", channel, delivery_tags=tags)
        for passing in held.passing:
            link.record(passing.said, channel, swallowed=True)
        for tag, multiple in told:
            link.invent(methods.ack(channel, tag, multiple=multiple))

    def _say(self, told: Sequence[Settled], passing: Passing) -> None:
        """Tell the client what a confirm comes to in its own numbers."""
        link, said = self._link, passing.said
        if not told:
            link.record(said, passing.channel, swallowed=True)
        was = Settled(said.data["delivery_tag"], said.data["multiple"])
        for settled in told:
            tag, multiple = settled
            if settled == was:
                link.forward(passing.frame, said)
                continue
            if said.name == "basic.ack":
                frame = methods.ack(passing.channel, tag, multiple=multiple)
            else:
                requeue = said.data["requeue"]
                frame = methods.nack(passing.channel, tag, multiple=multiple, requeue=requeue)
            link.invent(frame, was=was._asdict())
