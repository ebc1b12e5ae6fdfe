"""A conversation without sockets: bytes go in by hand, the clock stands where it is put."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pamqp import base, commands

from labs.amqp.said import Said, say
from labs.journal import Journal
from labs.proxy.armory import Armory
from labs.proxy.conversation import Conversation
from labs.proxy.faults import BROKER, CLIENT, Fault, Side
from tests.amqp import streams


class Talk:
    """Two sides that talk through a conversation."""

    def __init__(
        self,
        *faults: Fault,
        door: str = "A",
        number: int = 1,
        beside: Talk | None = None,
        before_settle: Callable[[], object] | None = None,
    ) -> None:
        self.now_s = 100.0
        self.journal: Journal = beside.journal if beside else Journal()
        self.armory: Armory = beside.armory if beside else Armory(faults)
        self.conversation = Conversation(
            number, door, self.armory, self.journal, before_settle=before_settle
        )

    def client(self, *said: bytes | base.Frame, channel: int = 1) -> None:
        """The client sends."""
        self._send(CLIENT, said, channel)

    def broker(self, *said: bytes | base.Frame, channel: int = 1) -> None:
        """The broker sends."""
        self._send(BROKER, said, channel)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now_s += seconds
        self.conversation.tick(self.now_s)

    def client_got(self) -> list[Said]:
        """What the client was sent since it was last asked."""
        return self._got(self.conversation.to_client.take())

    def broker_got(self) -> list[Said]:
        """What the broker was sent since it was last asked."""
        return self._got(self.conversation.to_broker.take())

    def bodies_at_broker(self) -> list[str]:
        """The bodies that the broker was sent since it was last asked."""
        return [said.data["text"] for said in self.broker_got() if said.name == "body"]

    def confirms_at_client(self) -> list[tuple[str, int, bool]]:
        """The confirms that the client was sent since it was last asked: name, tag, multiple."""
        return [
            (said.name.removeprefix("basic."), said.data["delivery_tag"], said.data["multiple"])
            for said in self.client_got()
            if said.name in ("basic.ack", "basic.nack")
        ]

    def confirm_mode(self, channel: int = 1) -> Talk:
        """The channel goes into confirm mode."""
        self.client(commands.Confirm.Select(), channel=channel)
        self.broker(commands.Confirm.SelectOk(), channel=channel)
        return self._forget()

    def consuming(self, queue: str = "q", consumer: str = "c", *, no_ack: bool = False) -> Talk:
        """The client consumes the queue."""
        self.client(commands.Basic.Consume(queue=queue, consumer_tag=consumer, no_ack=no_ack))
        self.broker(commands.Basic.ConsumeOk(consumer))
        return self._forget()

    def publish(self, *bodies: str) -> None:
        """The client publishes these to the queue q."""
        self.client(*(streams.publish(body.encode(), message_id=f"id-{body}") for body in bodies))

    def deliver(self, body: str, tag: int, *, consumer: str = "c") -> None:
        """The broker delivers this."""
        self.broker(streams.deliver(body.encode(), tag, consumer=consumer, message_id=f"id-{body}"))

    def confirm(self, *tags: int, multiple: bool = False) -> None:
        """The broker confirms these."""
        self.broker(*(commands.Basic.Ack(tag, multiple) for tag in tags))

    def faults(self) -> list[tuple[str, dict[str, Any]]]:
        """The faults on record."""
        return [(e.name, dict(e.data)) for e in self.journal.events if e.kind == "fault"]

    def record(self) -> list[str]:
        """All on record: frames as `client basic.ack`, swallowed or forged if so, and faults."""
        marks = ("swallowed", "forged")
        return [
            " ".join([e.side or e.kind, e.name, *(mark for mark in marks if mark in e.data)])
            for e in self.journal.events
        ]

    def _send(self, side: Side, said: tuple[bytes | base.Frame, ...], channel: int) -> None:
        data = b"".join(s if isinstance(s, bytes) else streams.said(s, channel) for s in said)
        self.conversation.receive(side, data, self.now_s)

    def _forget(self) -> Talk:
        self.client_got()
        self.broker_got()
        return self

    @staticmethod
    def _got(data: bytes) -> list[Said]:
        return [say(frame) for frame in streams.frames_of(data)]


def names(said: list[Said]) -> list[str]:
    """The names alone."""
    return [each.name for each in said]
