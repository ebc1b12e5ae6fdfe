"""One direction of a connection: frames in, faults applied, frames out, and no socket.

A link is given bytes, cuts them into frames and passes each on: what strikes at it is
carried out, it is put on record, and its bytes, untouched unless a fault says otherwise,
wait in `take` for whoever has the socket. A frame is recorded in the moment it is
passed on, never before. What is late or stalled waits in the link, in order.

A message passes or is withheld as a whole, with its method, its header and its body.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pamqp import base, commands

from labs.amqp.frames import BODY, HEADER, METHOD, Frame, FrameParser
from labs.amqp.said import Said, method, say
from labs.proxy.armory import Armed
from labs.proxy.channels import DELIVERING, LEARNED, SETTLING, Channel, Message
from labs.proxy.confirms import Confirms, Settled, Together
from labs.proxy.faults import (
    BROKER,
    CLIENT,
    AskHeartbeat,
    ConfirmTogether,
    Cut,
    Delay,
    DropConfirm,
    Fault,
    Here,
    HoldHeartbeats,
    RefusePublish,
    Side,
    Stall,
)

if TYPE_CHECKING:
    from labs.proxy.conversation import Conversation

CARRYING = DELIVERING | {"basic.publish", "basic.return"}
"""The methods that a message follows: its header, and its body in any number of frames."""
TELLING: Mapping[Side, frozenset[str]] = {
    CLIENT: SETTLING | {"tx.commit"},
    BROKER: frozenset({"basic.ack", "basic.nack", "basic.return"}),
}
"""Before these pass, what the programs have printed is put on record."""
CONFIRMING = frozenset({"basic.ack", "basic.nack"})


@dataclass(slots=True)
class Passing:
    """A message on its way, or a frame alone."""

    said: Said
    channel: int
    striking: Sequence[Armed] = ()
    is_withheld: bool = False
    tag: int = 0
    """The client's number of a publish to be confirmed."""
    size_b: int = 0
    left_b: int = 0
    message_id: str | None = None
    body: str | None = None
    """Where it is short, and one frame."""
    withheld: list[tuple[Frame, Said]] = field(default_factory=list)
    """The frames that go no further, kept for the record until the message is whole."""


class Link:
    """What `side` sends, on its way to the other side."""

    def __init__(self, conversation: Conversation, side: Side) -> None:
        self.side = side
        self._conversation = conversation
        self._telling = TELLING[side]
        self._parser = FrameParser()
        self._out: list[bytes] = []
        self._waiting: deque[tuple[float, Frame]] = deque()
        self._stalls: list[Stall] = []
        self._messages: dict[int, Passing] = {}
        """By channel: the message whose header or body is to come."""
        self._together: dict[int, Together] = {}
        """By channel: the confirms that wait to be told at once."""
        self._is_ended = False
        self._has_told = False
        """Whether the programs' output was put on record since the last bytes came."""

    # What goes in, and what comes out

    def receive(self, data: bytes) -> None:
        """Take in bytes, and pass on what can be."""
        self._has_told = False
        self._enter(self._parser.feed(data))

    def end(self) -> None:
        """No more bytes come; what is left of a frame passes as it is."""
        self._enter(self._parser.end())
        self._is_ended = True
        self._tell_together(list(self._together))

    def take(self) -> bytes:
        """What is to be sent to the other side now."""
        if not self._out:
            return b""
        data, self._out = b"".join(self._out), []
        return data

    @property
    def waiting_b(self) -> int:
        """How many bytes wait because of a delay or a stall."""
        return sum(len(frame.raw) for _, frame in self._waiting)

    @property
    def is_finished(self) -> bool:
        """Whether all has passed that was ever to come."""
        return self._is_ended and not self._waiting and not self._stalls

    @property
    def due_s(self) -> float | None:
        """When to `pump` again; None: not before something comes."""
        times = [together.due_s for together in self._together.values()]
        if self._waiting and not self._stalls:
            times.append(self._waiting[0][0])
        return min(times, default=None)

    def stall(self, fault: Stall) -> None:
        """From now on everything waits."""
        self._stalls.append(fault)

    def release(self, fault: Fault) -> None:
        """The fault is over: what waited because of it waits no longer."""
        self._stalls = [stall for stall in self._stalls if stall != fault]
        if isinstance(fault, Delay):
            self._waiting = deque((0.0, frame) for _, frame in self._waiting)

    def pump(self) -> None:
        """Pass on what is due."""
        self._has_told = False
        now_s = self._conversation.now_s
        while self._waiting and not self._stalls and self._waiting[0][0] <= now_s:
            self._pass(self._waiting.popleft()[1])
        self._tell_together([n for n, held in self._together.items() if held.due_s <= now_s])

    def _enter(self, frames: Sequence[Frame]) -> None:
        conversation = self._conversation
        late_s = 0.0
        for armed, delay in conversation.armory.delays(self.side, conversation.door):
            late_s += delay.delay_s
            self._tell_once(armed, delay_s=delay.delay_s, side=self.side)
        for frame in frames:
            if late_s or self._waiting or self._stalls:
                self._waiting.append((conversation.now_s + late_s, frame))
            else:
                self._pass(frame)

    # What happens to a frame

    def _pass(self, frame: Frame) -> None:
        conversation = self._conversation
        said = say(frame, bodies=conversation.keep_bodies)
        if said.name in self._telling:
            self._tell_programs()
        if conversation.is_severed:
            self._record(frame.channel, said, swallowed=True)
        elif frame.kind in (HEADER, BODY):
            self._pass_content(frame, said)
        else:
            self._pass_first(frame, said)

    def _pass_first(self, frame: Frame, said: Said) -> None:
        """A method, or a frame that stands alone."""
        conversation, name = self._conversation, said.name
        channel = conversation.channel(frame.channel)
        passing = Passing(said, frame.channel)
        if conversation.armory.armed:
            passing.striking = conversation.armory.strikes(self._here(channel, frame, said))
            passing.is_withheld = any(armed.fault.withholds for armed in passing.striking)
        if self._together and name != "basic.ack" and frame.kind == METHOD:
            self._tell_together([frame.channel] if frame.channel else list(self._together))
        if name in CARRYING:
            if channel.confirms and name == "basic.publish":
                passing.tag = channel.confirms.publish(passes=not passing.is_withheld)
            self._messages[frame.channel] = passing
            self._forward_or_keep(passing, frame, said)
            return
        if channel.confirms and name in CONFIRMING and self.side == BROKER:
            self._pass_confirm(channel.confirms, passing, frame)
        elif name == "connection.tune" and passing.striking:
            self._ask_heartbeat(passing, frame)
        else:
            self._forward_or_keep(passing, frame, said)
        self._complete(passing)
        if name in LEARNED:
            channel.heard(self.side, name, said.data)
        elif name == "channel.close-ok":
            conversation.channels.pop(frame.channel, None)

    def _pass_content(self, frame: Frame, said: Said) -> None:
        """A header, or some of a body."""
        passing = self._messages.get(frame.channel)
        if passing is None:  # not as the specification has it: the peer will say so
            self._forward(frame, said)
            return
        if frame.kind == HEADER:
            passing.size_b = passing.left_b = said.data.get("body_size", 0)
            passing.message_id = said.data.get("properties", {}).get("message_id")
        else:
            size_b = len(frame.raw) - 8
            passing.left_b -= size_b
            if size_b == passing.size_b:
                passing.body = said.data.get("text")
        self._forward_or_keep(passing, frame, said)
        if passing.left_b <= 0:
            del self._messages[frame.channel]
            self._complete(passing)

    def _complete(self, passing: Passing) -> None:
        """It has passed, or was withheld, as a whole: carry out what strikes at it."""
        conversation, said = self._conversation, passing.said
        channel = conversation.channel(passing.channel)
        if passing.striking:
            about = self._about(channel, passing)
            for armed in passing.striking:
                self._tell_strike(armed, passing, about)
        for _, withheld in passing.withheld:
            self._record(passing.channel, withheld, swallowed=True)
        for armed in passing.striking:
            self._strike(armed.fault, channel, passing)
        if said.name in DELIVERING and not passing.is_withheld:
            channel.delivered(said.name, said.data, passing.message_id, passing.body)

    # Faults

    def _strike(self, fault: Fault, channel: Channel, passing: Passing) -> None:
        """What a fault does once the frame or message has passed or been withheld."""
        conversation = self._conversation
        match fault:
            case Cut():
                conversation.sever(fault.how, fault.hold_s)
            case Stall():
                conversation.link(fault.side).stall(fault)
            case RefusePublish():
                nack = commands.Basic.Nack(passing.tag, requeue=False)
                conversation.to_client.invent(nack, passing.channel)
            case DropConfirm() if channel.confirms:
                channel.confirms.dropped.add(passing.tag)

    def _tell_strike(self, armed: Armed, passing: Passing, about: Mapping[str, Any]) -> None:
        """Put the strike on record; what strikes later or again and again is told elsewhere."""
        match armed.fault:
            case DropConfirm() | ConfirmTogether() | Delay() | AskHeartbeat():
                return
            case HoldHeartbeats():
                self._tell_once(armed, side=self.side)
            case Cut(how=how, before=before, hold_s=hold_s):
                more = {"how": how, "before": before, "hold_s": hold_s}
                self._conversation.tell_fault("cut", passing.channel, **more, **about)
            case fault:
                self._conversation.tell_fault(fault.name, passing.channel, **about)

    def _tell_once(self, armed: Armed, **data: Any) -> None:
        """Put a lasting fault on record when it first strikes at this connection."""
        if self._conversation.number not in armed.told:
            armed.told.add(self._conversation.number)
            self._conversation.tell_fault(armed.fault.name, **data)

    def _ask_heartbeat(self, passing: Passing, frame: Frame) -> None:
        """Pass on another heartbeat than the broker asked for."""
        armed = passing.striking[-1]
        assert isinstance(armed.fault, AskHeartbeat)
        was = passing.said.data
        self._tell_once(armed, heartbeat_s=armed.fault.heartbeat_s)
        tune = commands.Connection.Tune(
            was["channel_max"], was["frame_max"], armed.fault.heartbeat_s
        )
        self.invent(tune, frame.channel, was={"heartbeat": was["heartbeat"]})

    def _pass_confirm(self, confirms: Confirms, passing: Passing, frame: Frame) -> None:
        """A confirm from the broker: as it is, in the client's numbers, later, or never."""
        said = passing.said
        number, multiple = said.data["delivery_tag"], said.data["multiple"]
        was_plain = confirms.is_plain
        tags = confirms.settle(number, multiple)
        if passing.is_withheld:
            passing.withheld.append((frame, said))
            return
        for tag in tags:
            if tag in confirms.dropped:
                self._conversation.tell_fault("drop-confirm", frame.channel, delivery_tag=tag)
        armed = next((a for a in passing.striking if isinstance(a.fault, ConfirmTogether)), None)
        if armed and said.name == "basic.ack":
            self._hold_confirm(armed.fault, confirms, tags, frame, said)
        elif was_plain or not tags:
            self._forward(frame, said)
        else:
            self._say_confirms(confirms.said_to_client(tags, multiple), frame, said)

    def _say_confirms(self, told: Sequence[Settled], frame: Frame, said: Said) -> None:
        """Tell the client what a confirm comes to in its own numbers."""
        if not told:
            self._record(frame.channel, said, swallowed=True)
        was = {"delivery_tag": said.data["delivery_tag"], "multiple": said.data["multiple"]}
        for tag, multiple in told:
            if was == {"delivery_tag": tag, "multiple": multiple}:
                self._forward(frame, said)
            elif said.name == "basic.ack":
                self.invent(commands.Basic.Ack(tag, multiple), frame.channel, was=was)
            else:
                nack = commands.Basic.Nack(tag, multiple, requeue=said.data["requeue"])
                self.invent(nack, frame.channel, was=was)

    def _hold_confirm(
        self, fault: Any, confirms: Confirms, tags: list[int], frame: Frame, said: Said
    ) -> None:
        """Keep a confirm until there are enough of them, or it gets late."""
        held = self._together.get(frame.channel)
        if held is None:
            due_s = self._conversation.now_s + fault.within_s
            held = self._together[frame.channel] = Together(confirms, due_s)
        confirms.held += [tag for tag in tags if tag not in confirms.dropped]
        held.frames.append((frame, said))
        if len(confirms.held) >= fault.n:
            self._tell_together([frame.channel])

    def _tell_together(self, channels: Sequence[int]) -> None:
        """Tell the client of the confirms that were kept on these channels."""
        for number in channels:
            held = self._together.pop(number, None)
            if held is None:
                continue
            tags = sorted(held.confirms.held)
            told = held.confirms.release()
            if len(held.frames) == 1:
                self._say_confirms(told, *held.frames[0])
                continue
            self._conversation.tell_fault("confirm-together", number, delivery_tags=tags)
            for _, said in held.frames:
                self._record(number, said, swallowed=True)
            for tag, multiple in told:
                self.invent(commands.Basic.Ack(tag, multiple), number)

    # Out, and on record

    def invent(self, value: base.Frame, number: int, **about: Any) -> None:
        """Send a method that this side never sent, or not so."""
        frame = method(value, number)
        said = say(frame)
        if said.name in self._telling:
            self._tell_programs()
        self._record(number, said, forged=True, **about)
        self._out.append(frame.raw)

    def _forward_or_keep(self, passing: Passing, frame: Frame, said: Said) -> None:
        if passing.is_withheld:
            passing.withheld.append((frame._replace(raw=b""), said))
        else:
            self._forward(frame, said)

    def _forward(self, frame: Frame, said: Said) -> None:
        conversation = self._conversation
        conversation.journal.append(
            "frame",
            said.name,
            copy=conversation.door,
            connection=conversation.number,
            channel=frame.channel,
            side=self.side,
            data=said.data,
        )
        self._out.append(frame.raw)

    def _record(self, number: int, said: Said, **more: Any) -> None:
        conversation = self._conversation
        conversation.journal.append(
            "frame",
            said.name,
            copy=conversation.door,
            connection=conversation.number,
            channel=number,
            side=self.side,
            data={**said.data, **more},
        )

    def _tell_programs(self) -> None:
        """Have what the programs printed put on record first, once for the bytes that came."""
        if not self._has_told and self._conversation.before_settle:
            self._conversation.before_settle()
        self._has_told = True

    def _here(self, channel: Channel, frame: Frame, said: Said) -> Here:
        conversation = self._conversation
        return Here(
            said.name,
            self.side,
            conversation.door,
            conversation.number,
            frame.channel,
            channel.queue_of(self.side, said.name, said.data),
            channel.confirms is not None,
        )

    def _about(self, channel: Channel, passing: Passing) -> dict[str, Any]:
        """What a strike struck, for the record."""
        name, data = passing.said
        about: dict[str, Any] = {"frame": name}
        if tag := passing.tag or data.get("delivery_tag"):
            about["delivery_tag"] = tag
        message = Message(channel.queue_of(self.side, name, data), passing.message_id, passing.body)
        if name in SETTLING and self.side == CLIENT:
            message = channel.deliveries.get(data["delivery_tag"], message)
        return about | message.named()
