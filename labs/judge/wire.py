"""Reads the frames of a journal as a broker would: who consumes, who holds what, what is settled.

Frames come in one by one; methods that carry a message wait for its header and body.
What comes of them are the values of `labs.judge.lives`. What a method means is said
in `labs.judge.methods`, what a channel has in mind in `labs.judge.channel`.

A frame that never got to the broker, for a fault swallowed it, never changed its mind:
it is remembered (`Delivery.unheard`, `Publish.reached_broker`) and otherwise passed
over. An acknowledgement can get lost without a fault's help: it was on its way when
the broker closed the connection. That shows when the message comes again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from labs.journal import Event
from labs.judge.channel import SETTLING, Channel, Content
from labs.judge.lives import (
    Connection,
    Consumer,
    Declaration,
    Delivery,
    Message,
    Process,
    Publish,
    Refusal,
    Settlement,
)
from labs.judge.methods import METHODS

CARRYING = {
    ("client", "basic.publish"),
    ("broker", "basic.deliver"),
    ("broker", "basic.get-ok"),
    ("broker", "basic.return"),
}
"""The methods that carry a message, by side."""


@dataclass
class Wire:
    """What the frames seen so far add up to."""

    message_of: Callable[[str | None, str | None], Message]
    """The message with this body or, where the body is not known, this message_id."""
    process_of: Callable[[str | None], Process | None]
    """The process that now runs as this copy."""
    connections: dict[int, Connection] = field(default_factory=dict)
    consumers: list[Consumer] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    publishes: list[Publish] = field(default_factory=list)
    declarations: list[Declaration] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    polls: list[tuple[Connection, Event]] = field(default_factory=list)
    """The answers to basic.get, the empty ones too."""
    _channels: dict[tuple[int, int], Channel] = field(default_factory=dict)

    def connected(self, event: Event) -> None:
        """Take in a `connected`."""
        if event.connection is not None:
            process = self.process_of(event.copy)
            self.connections[event.connection] = Connection(
                event.connection, event.copy, process, event
            )

    def disconnected(self, event: Event) -> None:
        """Take in a `disconnected`."""
        if event.connection in self.connections:
            self._end(self.connections[event.connection], event)

    def frame(self, event: Event) -> None:
        """Take in a `frame`."""
        if event.connection is None or event.side is None:
            return
        if event.connection not in self.connections:  # a recording that begins in the middle
            self.connected(event)
        key = (event.connection, event.channel or 0)
        if key not in self._channels:
            self._channels[key] = Channel(self.connections[event.connection], key[1])
        channel = self._channels[key]
        if event.name in ("header", "body"):
            self._content(channel, event)
        elif (event.side, event.name) in CARRYING:
            channel.contents[event.side] = Content(event, not event.data.get("swallowed"))
        elif event.data.get("swallowed"):
            if event.side == "client" and event.name in SETTLING:
                channel.settle(event, unheard=True)
        elif method := METHODS.get((event.side, event.name)):
            method(self, channel, event)
        if event.side == "broker" and event.name.endswith("-ok"):
            answered = [channel] if event.channel else self.channels_of(channel.connection)
            for one in answered:
                one.answer(event)

    def channels_of(self, connection: Connection) -> list[Channel]:
        """The channels of a connection."""
        return [c for (number, _), c in self._channels.items() if number == connection.number]

    def forget(self, channel: Channel) -> None:
        """The channel is closed: its number may be used for another."""
        self._channels.pop((channel.connection.number, channel.number), None)

    def _content(self, channel: Channel, event: Event) -> None:
        content = channel.contents.get(event.side or "")
        if content is None:
            return
        content.intact = content.intact and not event.data.get("swallowed")
        if event.name == "header":
            content.properties = event.data.get("properties") or {}
            content.missing = int(event.data.get("body_size", 0))
        else:
            content.missing -= int(event.data.get("size", 0))
            content.texts.append(event.data.get("text"))
        if content.missing <= 0:
            del channel.contents[event.side or ""]
            if event.side == "client":
                self._published(channel, content, event)
            elif content.method.name == "basic.return":
                channel.take_back(content, event)
            else:
                self._delivered(channel, content, event)

    def _delivered(self, channel: Channel, content: Content, event: Event) -> None:
        data = content.method.data
        consumer = channel.consumers.get(data.get("consumer_tag", ""))
        if content.method.name == "basic.get-ok":
            queue, no_ack = channel.gets.popleft() if channel.gets else (channel.queue, False)
            self.polls.append((channel.connection, event))
        else:
            queue = consumer.queue if consumer else data.get("routing_key", "")
            no_ack = consumer.no_ack if consumer else False
        message = self.message_of(content.body, content.properties.get("message_id"))
        if data.get("redelivered"):
            _doubt_an_ack(message, event)
        delivery = Delivery(
            message,
            channel.connection,
            channel.number,
            int(data.get("delivery_tag", 0)),
            queue,
            bool(data.get("redelivered")),
            content.method,
            event,
            consumer,
            content.intact,
        )
        message.deliveries.append(delivery)
        self.deliveries.append(delivery)
        if no_ack:
            delivery.settled = Settlement("auto", content.method, content.method)
        else:
            channel.open[delivery.tag] = delivery

    def _published(self, channel: Channel, content: Content, event: Event) -> None:
        data = content.method.data
        publish = Publish(
            channel.connection,
            channel.number,
            data.get("exchange") or "",
            data.get("routing_key") or "",
            bool(data.get("mandatory")),
            content.properties,
            content.body,
            content.method,
            event,
            in_transaction=channel.in_transaction,
            reached_broker=content.intact,
        )
        if channel.confirms:  # the client counts what a fault swallowed, too
            publish.number = channel.number_next
            channel.unconfirmed[channel.number_next] = publish
            channel.number_next += 1
        if publish.reached_broker:
            channel.unanswered.append(publish)
            if channel.in_transaction:
                channel.uncommitted.append(publish)
        self.publishes.append(publish)
        if publish.body is not None or publish.properties.get("message_id"):
            message = self.message_of(publish.body, publish.properties.get("message_id"))
            message.publishes.append(publish)

    def _end(self, connection: Connection, event: Event) -> None:
        """The broker has this connection no more: what it held goes back."""
        connection.ended = connection.ended or event
        for channel in self.channels_of(connection):
            channel.give_back(event)
            self.forget(channel)


def _doubt_an_ack(message: Message, event: Event) -> None:
    """A message is delivered again: is that one of those that were acknowledged?

    The broker forgets what it hears an acknowledgement for. Where there were no more messages with
    this body than were acknowledged, it never heard the last one.
    """
    acked = [d for d in message.deliveries if d.settled and d.settled.how == "ack"]
    in_all = message.times_published + sum(p.reached_broker for p in message.publishes)
    if message.times_published and acked and len(acked) >= in_all:
        last = acked[-1]
        last.unheard, last.settled = last.settled, None
        last.returned = last.connection.ended or event
