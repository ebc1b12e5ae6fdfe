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
from typing import TYPE_CHECKING, Any

from labs.amqp import methods
from labs.amqp.frames import BODY, HEADER, METHOD, Frame, FrameParser, body_size
from labs.amqp.said import Said, say
from labs.proxy.channels import DELIVERING, LEARNED, SETTLING
from labs.proxy.confirming import CONFIRMING, Confirming
from labs.proxy.faults import BROKER, CLIENT, Delay, Fault, Side, Stall
from labs.proxy.passing import Passing
from labs.proxy.striking import Striking

if TYPE_CHECKING:
    from labs.proxy.conversation import Conversation

CARRYING = DELIVERING | {"basic.publish", "basic.return"}
"""The methods that a message follows: its header, and its body in any number of frames."""
TELLING: Mapping[Side, frozenset[str]] = {
    CLIENT: SETTLING | {"tx.commit"},
    BROKER: CONFIRMING | {"basic.return"},
}
"""Before these pass, what the programs have printed is put on record."""


class Link:
    """What `side` sends, on its way to the other side."""

    def __init__(self, conversation: Conversation, side: Side) -> None:
        self.side = side
        self.conversation = conversation
        self.waiting_b = 0
        """How many bytes wait because of a delay or a stall."""
        self._telling = TELLING[side]
        self._parser = FrameParser()
        self._out: list[bytes] = []
        self._waiting: deque[tuple[float, Frame]] = deque()
        self._stalls: list[Stall] = []
        self._messages: dict[int, Passing] = {}
        """By channel: the message whose header or body is to come."""
        self._confirming = Confirming(self)
        self._striking = Striking(self)
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
        self._confirming.tell()
        self._is_ended = True

    def take(self) -> bytes:
        """What is to be sent to the other side now."""
        if not self._out:
            return b""
        data, self._out = b"".join(self._out), []
        return data

    @property
    def is_finished(self) -> bool:
        """Whether all has passed that was ever to come."""
        return self._is_ended and not self._waiting and not self._stalls

    @property
    def due_s(self) -> float | None:
        """When to `pump` again; None: not before something comes."""
        if self._waiting and not self._stalls:
            return min(self._waiting[0][0], self._confirming.due_s or self._waiting[0][0])
        return self._confirming.due_s

    def stall(self, fault: Stall) -> None:
        """From now on everything waits."""
        self._stalls.append(fault)

    def release(self, fault: Fault) -> None:
        """The fault is over: what waited because of it waits no longer."""
        self._stalls = [stall for stall in self._stalls if stall != fault]
        if isinstance(fault, Delay):
            self._waiting = deque((0.0, frame) for _, frame in self._waiting)
        self._confirming.release(fault)

    def pump(self) -> None:
        """Pass on what is due."""
        self._has_told = False
        now_s = self.conversation.now_s
        while self._waiting and not self._stalls and self._waiting[0][0] <= now_s:
            frame = self._waiting.popleft()[1]
            self.waiting_b -= len(frame.raw)
            self._pass(frame)
        self._confirming.tell_due(now_s)

    def _enter(self, frames: Sequence[Frame]) -> None:
        conversation = self.conversation
        late_s = 0.0
        for armed, delay in conversation.armory.delays(self.side, conversation.door):
            late_s += delay.delay_s
            self._striking.tell_once(armed, delay_s=delay.delay_s, side=self.side)
        for frame in frames:
            if late_s or self._waiting or self._stalls:
                self._waiting.append((conversation.now_s + late_s, frame))
                self.waiting_b += len(frame.raw)
            else:
                self._pass(frame)

    # What happens to a frame

    def _pass(self, frame: Frame) -> None:
        conversation = self.conversation
        said = say(frame, bodies=conversation.keep_bodies)
        if said.name in self._telling:
            self.tell_programs()
        if conversation.is_severed:
            self.record(said, frame.channel, swallowed=True)
        elif frame.kind == HEADER or frame.kind == BODY:
            self._pass_content(frame, said)
        else:
            self._pass_first(frame, said)

    def _pass_first(self, frame: Frame, said: Said) -> None:
        """A method, or a frame that stands alone."""
        conversation, name = self.conversation, said.name
        channel = conversation.channel(frame.channel)
        passing = Passing(frame, said)
        if conversation.armory.armed:
            passing.striking = conversation.armory.strikes(self._striking.here(channel, passing))
            passing.is_withheld = any(armed.fault.withholds for armed in passing.striking)
        if frame.kind == METHOD and name != "basic.ack":
            self._confirming.tell(frame.channel)
        if name in CARRYING:
            if channel.confirms and name == "basic.publish":
                passing.tag = channel.confirms.publish(passes=not passing.is_withheld)
            self._messages[frame.channel] = passing
            self._forward_or_keep(passing, frame, said)
            return
        if channel.confirms and name in CONFIRMING and self.side == BROKER:
            self._confirming.pass_on(channel.confirms, passing)
        elif name == "connection.tune" and passing.striking and not passing.is_withheld:
            self._striking.ask_heartbeat(passing)
        else:
            self._forward_or_keep(passing, frame, said)
        if passing.striking:
            self._striking.strike(channel, passing)
        if name in LEARNED:
            channel.heard(self.side, name, said.data)
        elif name == "channel.close-ok":
            conversation.channels.pop(frame.channel, None)

    def _pass_content(self, frame: Frame, said: Said) -> None:
        """A header, or some of a body."""
        passing = self._messages.get(frame.channel)
        if passing is None:  # not as the specification has it: the peer will say so
            self.forward(frame, said)
            return
        if frame.kind == HEADER:
            passing.size_b = passing.left_b = body_size(frame)
            passing.message_id = said.data.get("properties", {}).get("message_id")
        else:
            size_b = len(frame.raw) - 8
            passing.left_b -= size_b
            if size_b == passing.size_b:
                passing.body = said.data.get("text")
        self._forward_or_keep(passing, frame, said)
        if passing.left_b > 0:
            return
        del self._messages[frame.channel]
        channel, (name, data) = self.conversation.channel(frame.channel), passing.said
        if passing.striking:
            self._striking.strike(channel, passing)
        if name in DELIVERING and not passing.is_withheld:
            channel.delivered(name, data, passing.message_id, passing.body)

    # Out, and on record

    def forward(self, frame: Frame, said: Said) -> None:
        """Pass the frame on as it is."""
        conversation = self.conversation
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

    def invent(self, frame: Frame, **more: Any) -> None:
        """Send a frame that this side never sent, or not so."""
        said = say(frame)
        if said.name in self._telling:
            self.tell_programs()
        self.record(said, frame.channel, forged=True, **more)
        self._out.append(frame.raw)

    def refuse(self, tag: int, channel: int) -> None:
        """Tell the client that its publish of this number was refused."""
        self._confirming.tell(channel)
        self.invent(methods.nack(channel, tag, multiple=False, requeue=False))

    def record(self, said: Said, channel: int, **more: Any) -> None:
        """Put on record a frame with something to remark: that it was swallowed, or forged."""
        conversation = self.conversation
        conversation.journal.append(
            "frame",
            said.name,
            copy=conversation.door,
            connection=conversation.number,
            channel=channel,
            side=self.side,
            data={**said.data, **more},
        )

    def tell_programs(self) -> None:
        """Have what the programs printed put on record, once for the bytes that came."""
        if not self._has_told and self.conversation.before_settle:
            self.conversation.before_settle()
        self._has_told = True

    def _forward_or_keep(self, passing: Passing, frame: Frame, said: Said) -> None:
        if passing.is_withheld:
            passing.withheld.append(said)
        else:
            self.forward(frame, said)
