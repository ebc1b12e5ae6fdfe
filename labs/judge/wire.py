"""Reads the frames of a journal as a broker would: who consumes, who holds what, what is settled.

Each method that matters has one small function in the table `METHODS`, by the side
that sends it; all others pass. Delivery tags and confirm numbers are counted a
channel; `multiple` settles all up to a tag; in a transaction nothing counts before
tx.commit; when a channel or connection ends, what it held goes back to its queue.

A frame that a fault swallowed never changed the broker's mind: it is remembered
(`Delivery.unheard`, `Publish.reached_broker`) and otherwise passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labs.journal import Event
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


@dataclass(slots=True)
class _Content:
    """A method that carries a message, until its last frame is there."""

    method: Event
    intact: bool
    properties: Mapping[str, Any] = field(default_factory=dict)
    missing: int = -1
    texts: list[str | None] = field(default_factory=list)

    @property
    def body(self) -> str | None:
        parts = [text for text in self.texts if text is not None]
        return "".join(parts) if len(parts) == len(self.texts) else None


@dataclass(slots=True)
class _Channel:
    connection: Connection
    number: int
    contents: dict[str, _Content] = field(default_factory=dict)
    prefetch: int = 0
    shared_prefetch: int = 0
    queue: str = ""
    """The queue declared last: what an empty name means."""
    consumers: dict[str, Consumer] = field(default_factory=dict)
    open: dict[int, Delivery] = field(default_factory=dict)
    in_transaction: bool = False
    asked: list[tuple[Delivery, Settlement]] = field(default_factory=list)
    """Settlements that wait for tx.commit."""
    confirms: bool = False
    number_next: int = 1
    unconfirmed: dict[int, Publish] = field(default_factory=dict)
    unanswered: list[Publish] = field(default_factory=list)
    uncommitted: list[Publish] = field(default_factory=list)
    gets: deque[tuple[str, bool]] = field(default_factory=deque)
    declares: deque[Declaration] = field(default_factory=deque)
    consumes: deque[Event] = field(default_factory=deque)


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
    _channels: dict[tuple[int, int], _Channel] = field(default_factory=dict)

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
            self._channels[key] = _Channel(self.connections[event.connection], key[1])
        channel = self._channels[key]
        if event.name in ("header", "body"):
            self._content(channel, event)
        elif (event.side, event.name) in CONTENT_METHODS:
            channel.contents[event.side] = _Content(event, not event.data.get("swallowed"))
        elif event.data.get("swallowed"):
            if event.side == "client" and event.name in SETTLING:
                _settle_asked(channel, event, unheard=True)
        elif method := METHODS.get((event.side, event.name)):
            method(self, channel, event)
        if event.side == "broker" and event.name.endswith("-ok"):
            _answer(self._channels_of(event) if not event.channel else [channel], event)

    def _channels_of(self, event: Event) -> Iterable[_Channel]:
        return [c for (number, _), c in self._channels.items() if number == event.connection]

    def _content(self, channel: _Channel, event: Event) -> None:
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
                _returned(channel, content, event)
            else:
                self._delivered(channel, content, event)

    def _delivered(self, channel: _Channel, content: _Content, event: Event) -> None:
        data = content.method.data
        consumer = channel.consumers.get(data.get("consumer_tag", ""))
        if content.method.name == "basic.get-ok":
            queue, no_ack = channel.gets.popleft() if channel.gets else (channel.queue, False)
            self.polls.append((channel.connection, event))
        else:
            queue = consumer.queue if consumer else data.get("routing_key", "")
            no_ack = consumer.no_ack if consumer else False
        message = self.message_of(content.body, content.properties.get("message_id"))
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

    def _published(self, channel: _Channel, content: _Content, event: Event) -> None:
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
        for key in [key for key in self._channels if key[0] == connection.number]:
            _give_back(self._channels.pop(key), event)


def _answer(channels: Iterable[_Channel], event: Event) -> None:
    for channel in channels:
        for publish in channel.unanswered:
            publish.answered = event
        channel.unanswered.clear()


def _give_back(channel: _Channel, event: Event) -> None:
    for delivery in channel.open.values():
        delivery.returned = event
    channel.open.clear()
    channel.asked.clear()
    for consumer in channel.consumers.values():
        consumer.ended = event
    channel.consumers.clear()


# --- One function a method ------------------------------------------------------------------


def _start_ok(_wire: Wire, channel: _Channel, event: Event) -> None:
    channel.connection.settings = event.data.get("client_properties") or {}


def _tune_ok(_wire: Wire, channel: _Channel, event: Event) -> None:
    channel.connection.heartbeat_s = int(event.data.get("heartbeat", 0))


def _open_ok(_wire: Wire, channel: _Channel, _event: Event) -> None:
    channel.connection.is_ready = True


def _connection_close(wire: Wire, channel: _Channel, event: Event) -> None:
    channel.connection.closing = channel.connection.closing or event
    _refused(wire, channel, event)
    # From here on the broker sends and takes nothing more on it but close-ok; its answers to
    # what was published before have been given.
    for number, other in list(wire._channels.items()):
        if number[0] == channel.connection.number:
            _give_back(other, event)


def _channel_close(wire: Wire, channel: _Channel, event: Event) -> None:
    _refused(wire, channel, event)
    _give_back(channel, event)


def _channel_close_ok(wire: Wire, channel: _Channel, event: Event) -> None:
    if event.side == "broker":
        _answer([channel], event)
    wire._channels.pop((channel.connection.number, channel.number), None)


def _refused(wire: Wire, channel: _Channel, event: Event) -> None:
    code = int(event.data.get("reply_code", 0))
    if event.side == "broker" and code >= 300:
        text = str(event.data.get("reply_text", ""))
        wire.refusals.append(Refusal(channel.connection, event, code, text))


def _qos(_wire: Wire, channel: _Channel, event: Event) -> None:
    count = int(event.data.get("prefetch_count", 0))
    if event.data.get("global_", event.data.get("global")):
        channel.shared_prefetch = count
        for consumer in channel.consumers.values():
            consumer.prefetch = _tighter(consumer.prefetch, count)
    else:  # on RabbitMQ it holds for consumers that begin later
        channel.prefetch = count


def _tighter(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


def _declare(wire: Wire, channel: _Channel, event: Event) -> None:
    data = event.data
    declaration = Declaration(
        channel.connection,
        event,
        data.get("queue") or "",
        passive=bool(data.get("passive")),
        durable=bool(data.get("durable")),
        exclusive=bool(data.get("exclusive")),
        auto_delete=bool(data.get("auto_delete")),
        arguments=data.get("arguments") or {},
    )
    wire.declarations.append(declaration)
    channel.queue = declaration.queue or channel.queue
    if not _without_answer(event):
        channel.declares.append(declaration)


def _declare_ok(_wire: Wire, channel: _Channel, event: Event) -> None:
    channel.queue = event.data.get("queue") or channel.queue
    if channel.declares:
        declaration = channel.declares.popleft()
        declaration.answered = event
        declaration.queue = channel.queue


def _consume(wire: Wire, channel: _Channel, event: Event) -> None:
    channel.consumes.append(event)
    if _without_answer(event):
        _consume_ok(wire, channel, event)


def _consume_ok(wire: Wire, channel: _Channel, event: Event) -> None:
    asked = channel.consumes.popleft() if channel.consumes else event
    consumer = Consumer(
        channel.connection,
        channel.number,
        event.data.get("consumer_tag") or asked.data.get("consumer_tag") or "",
        asked.data.get("queue") or channel.queue,
        bool(asked.data.get("no_ack")),
        _tighter(channel.prefetch, channel.shared_prefetch),
        event,
        arguments=asked.data.get("arguments") or {},
    )
    channel.consumers[consumer.tag] = consumer
    wire.consumers.append(consumer)


def _without_answer(event: Event) -> bool:
    return bool(event.data.get("nowait") or event.data.get("no_wait"))


def _cancel(_wire: Wire, channel: _Channel, event: Event) -> None:
    """It takes no more; what it holds it keeps, until it settles it or its channel ends."""
    if consumer := channel.consumers.get(event.data.get("consumer_tag", "")):
        consumer.ended = event


def _get(_wire: Wire, channel: _Channel, event: Event) -> None:
    channel.gets.append((event.data.get("queue") or channel.queue, bool(event.data.get("no_ack"))))


def _get_empty(wire: Wire, channel: _Channel, event: Event) -> None:
    if channel.gets:
        channel.gets.popleft()
    wire.polls.append((channel.connection, event))


def _settle(_wire: Wire, channel: _Channel, event: Event) -> None:
    _settle_asked(channel, event)


def _settle_asked(channel: _Channel, event: Event, *, unheard: bool = False) -> None:
    tag, multiple = int(event.data.get("delivery_tag", 0)), bool(event.data.get("multiple"))
    how = SETTLING[event.name]
    requeue = how != "ack" and bool(event.data.get("requeue", True))
    waiting = [d for d, _ in channel.asked]
    for delivery in [d for d in channel.open.values() if d not in waiting]:
        if delivery.tag == tag or (multiple and (delivery.tag <= tag or tag == 0)):
            settlement = Settlement(how, event, event, requeue, multiple)
            if unheard:
                delivery.unheard = delivery.unheard or settlement
            elif channel.in_transaction:
                channel.asked.append((delivery, settlement))
            else:
                delivery.settled = settlement
                del channel.open[delivery.tag]


def _recover(_wire: Wire, channel: _Channel, event: Event) -> None:
    for delivery in channel.open.values():
        delivery.returned = event
    channel.open.clear()


def _tx_select(_wire: Wire, channel: _Channel, _event: Event) -> None:
    channel.in_transaction = True


def _tx_commit(_wire: Wire, channel: _Channel, event: Event) -> None:
    for delivery, settlement in channel.asked:
        settlement.event = event
        delivery.settled = settlement
        channel.open.pop(delivery.tag, None)
    channel.asked.clear()


def _tx_commit_ok(_wire: Wire, channel: _Channel, event: Event) -> None:
    for publish in channel.uncommitted:
        publish.committed = event
    channel.uncommitted.clear()


def _tx_rollback(_wire: Wire, channel: _Channel, _event: Event) -> None:
    channel.asked.clear()
    channel.uncommitted.clear()


def _confirm_select(_wire: Wire, channel: _Channel, _event: Event) -> None:
    channel.confirms = True


def _confirm(_wire: Wire, channel: _Channel, event: Event) -> None:
    tag, multiple = int(event.data.get("delivery_tag", 0)), bool(event.data.get("multiple"))
    for number in list(channel.unconfirmed):
        if number == tag or (multiple and (number <= tag or tag == 0)):
            publish = channel.unconfirmed.pop(number)
            if event.name == "basic.ack":
                publish.confirmed = event
            else:
                publish.refused = event


def _returned(channel: _Channel, content: _Content, event: Event) -> None:
    """Mark the oldest publish that it can be: a return comes before its confirm, in order."""
    message_id = content.properties.get("message_id")
    waiting = list(channel.unconfirmed.values()) if channel.confirms else channel.unanswered
    for publish in waiting:
        same = publish.body == content.body if content.body is not None else True
        same = same and publish.properties.get("message_id") == message_id
        if same and publish.returned is None:
            publish.returned = event
            return


SETTLING: Mapping[str, Literal["ack", "nack", "reject"]] = {
    "basic.ack": "ack",
    "basic.nack": "nack",
    "basic.reject": "reject",
}

CONTENT_METHODS = {
    ("client", "basic.publish"),
    ("broker", "basic.deliver"),
    ("broker", "basic.get-ok"),
    ("broker", "basic.return"),
}

METHODS: Mapping[tuple[str, str], Callable[[Wire, _Channel, Event], None]] = {
    ("client", "connection.start-ok"): _start_ok,
    ("client", "connection.tune-ok"): _tune_ok,
    ("broker", "connection.open-ok"): _open_ok,
    ("client", "connection.close"): _connection_close,
    ("broker", "connection.close"): _connection_close,
    ("client", "channel.close"): _channel_close,
    ("broker", "channel.close"): _channel_close,
    ("client", "channel.close-ok"): _channel_close_ok,
    ("broker", "channel.close-ok"): _channel_close_ok,
    ("client", "basic.qos"): _qos,
    ("client", "queue.declare"): _declare,
    ("broker", "queue.declare-ok"): _declare_ok,
    ("client", "basic.consume"): _consume,
    ("broker", "basic.consume-ok"): _consume_ok,
    ("client", "basic.cancel"): _cancel,
    ("broker", "basic.cancel"): _cancel,
    ("client", "basic.get"): _get,
    ("broker", "basic.get-empty"): _get_empty,
    ("client", "basic.ack"): _settle,
    ("client", "basic.nack"): _settle,
    ("client", "basic.reject"): _settle,
    ("client", "basic.recover"): _recover,
    ("client", "basic.recover-async"): _recover,
    ("client", "tx.select"): _tx_select,
    ("client", "tx.commit"): _tx_commit,
    ("broker", "tx.commit-ok"): _tx_commit_ok,
    ("client", "tx.rollback"): _tx_rollback,
    ("client", "confirm.select"): _confirm_select,
    ("broker", "basic.ack"): _confirm,
    ("broker", "basic.nack"): _confirm,
}
