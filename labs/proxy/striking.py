"""How faults are carried out on what passes a link, and put on record.

What a fault withholds the link withholds; the rest happens here, once the frame or the
message has passed, or was withheld, as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labs.amqp import methods
from labs.proxy.channels import SETTLING, Channel, Message
from labs.proxy.faults import (
    CLIENT,
    AskHeartbeat,
    ConfirmTogether,
    Cut,
    Delay,
    DropConfirm,
    Here,
    HoldHeartbeats,
    RefusePublish,
    Stall,
)
from labs.proxy.passing import Passing

if TYPE_CHECKING:
    from labs.proxy.armory import Armed
    from labs.proxy.link import Link


class Striking:
    """What faults do to what passes a link."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def here(self, channel: Channel, passing: Passing) -> Here:
        """What passes, as faults look at it."""
        link, (name, data) = self._link, passing.said
        return Here(
            name,
            link.side,
            link.conversation.door,
            link.conversation.number,
            passing.channel,
            channel.queue_of(link.side, name, data),
            channel.confirms is not None,
        )

    def strike(self, channel: Channel, passing: Passing) -> None:
        """Carry out what strikes at it."""
        conversation = self._link.conversation
        about = self._about(channel, passing)
        for armed in passing.striking:
            self._tell(armed, passing, about)
        for said in passing.withheld:
            self._link.record(said, passing.channel, swallowed=True)
        for armed in passing.striking:
            match armed.fault:
                case Cut(how=how, hold_s=hold_s):
                    conversation.sever(how, hold_s)
                case Stall(side=side) as stall:
                    conversation.link(side).stall(stall)
                case RefusePublish():
                    conversation.to_client.refuse(passing.tag, passing.channel)
                case DropConfirm() if channel.confirms:
                    channel.confirms.dropped.add(passing.tag)

    def ask_heartbeat(self, passing: Passing) -> None:
        """Pass on another heartbeat than the broker asked for."""
        was = passing.said.data
        for armed in passing.striking:
            if isinstance(armed.fault, AskHeartbeat):
                heartbeat_s = armed.fault.heartbeat_s
                self.tell_once(armed, heartbeat_s=heartbeat_s)
                tune = methods.tune(**{**was, "heartbeat": heartbeat_s})
                self._link.invent(tune, was={"heartbeat": was["heartbeat"]})
                return
        self._link.forward(passing.frame, passing.said)

    def tell_once(self, armed: Armed, **data: Any) -> None:
        """Put a lasting fault on record when it first strikes at this connection."""
        conversation = self._link.conversation
        if conversation.number not in armed.told:
            armed.told.add(conversation.number)
            conversation.tell_fault(armed.fault.name, **data)

    def _tell(self, armed: Armed, passing: Passing, about: Mapping[str, Any]) -> None:
        """Put the strike on record; what strikes later or again and again is told elsewhere."""
        conversation = self._link.conversation
        match armed.fault:
            case DropConfirm() | ConfirmTogether() | Delay() | AskHeartbeat():
                return
            case HoldHeartbeats():
                self.tell_once(armed, side=self._link.side)
            case Cut(how=how, before=before, hold_s=hold_s):
                more = {"how": how, "before": before, "hold_s": hold_s}
                conversation.tell_fault("cut", passing.channel, **more, **about)
            case fault:
                conversation.tell_fault(fault.name, passing.channel, **about)

    def _about(self, channel: Channel, passing: Passing) -> dict[str, Any]:
        """What is struck, for the record."""
        side, (name, data) = self._link.side, passing.said
        about: dict[str, Any] = {"frame": name}
        if tag := passing.tag or data.get("delivery_tag"):
            about["delivery_tag"] = tag
        queue = channel.queue_of(side, name, data)
        message = Message(queue, passing.message_id, passing.body)
        if name in SETTLING and side == CLIENT:
            message = channel.deliveries.get(data["delivery_tag"], message)
        return about | message.named()
