"""What each method changes in the broker's mind: one small function a method, in one table.

`METHODS` says by the side that sends it and its name what to do with it; a method that
is not in it changes nothing that is judged. Methods that carry a message are not here:
they are read with their header and body, in `labs.judge.wire`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from labs.journal import Event
from labs.judge.channel import Channel
from labs.judge.lives import Consumer, Declaration, Refusal

if TYPE_CHECKING:
    from labs.judge.wire import Wire


def _tune_ok(_wire: Wire, channel: Channel, event: Event) -> None:
    channel.connection.heartbeat_s = int(event.data.get("heartbeat", 0))


def _open_ok(_wire: Wire, channel: Channel, _event: Event) -> None:
    channel.connection.is_ready = True


def _connection_close(wire: Wire, channel: Channel, event: Event) -> None:
    """From here on the broker takes nothing more on any of its channels."""
    channel.connection.closing = channel.connection.closing or event
    _refused(wire, channel, event)
    for other in wire.channels_of(channel.connection):
        other.give_back(event)


def _channel_close(wire: Wire, channel: Channel, event: Event) -> None:
    _refused(wire, channel, event)
    channel.give_back(event)


def _channel_close_ok(wire: Wire, channel: Channel, event: Event) -> None:
    if event.side == "broker":
        channel.answer(event)
    wire.forget(channel)


def _refused(wire: Wire, channel: Channel, event: Event) -> None:
    code = int(event.data.get("reply_code", 0))
    if event.side == "broker" and code >= 300:
        text = str(event.data.get("reply_text", ""))
        wire.refusals.append(Refusal(channel.connection, event, code, text))


def _qos(_wire: Wire, channel: Channel, event: Event) -> None:
    count = int(event.data.get("prefetch_count", 0))
    if event.data.get("global_", event.data.get("global")):
        channel.shared_prefetch = count
        for consumer in channel.consumers.values():
            consumer.prefetch = _tighter(consumer.prefetch, count)
    else:  # on RabbitMQ it holds for consumers that begin later
        channel.prefetch = count


def _tighter(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


def _declare(wire: Wire, channel: Channel, event: Event) -> None:
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


def _declare_ok(_wire: Wire, channel: Channel, event: Event) -> None:
    channel.queue = event.data.get("queue") or channel.queue
    if channel.declares:
        declaration = channel.declares.popleft()
        declaration.answered = event
        declaration.queue = channel.queue


def _consume(wire: Wire, channel: Channel, event: Event) -> None:
    channel.consumes.append(event)
    if _without_answer(event):
        _consume_ok(wire, channel, event)


def _consume_ok(wire: Wire, channel: Channel, event: Event) -> None:
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


def _cancel(_wire: Wire, channel: Channel, event: Event) -> None:
    """It takes no more; what it holds it keeps, until it settles it or its channel ends."""
    if consumer := channel.consumers.get(event.data.get("consumer_tag", "")):
        consumer.ended = event


def _get(_wire: Wire, channel: Channel, event: Event) -> None:
    channel.gets.append((event.data.get("queue") or channel.queue, bool(event.data.get("no_ack"))))


def _get_empty(wire: Wire, channel: Channel, event: Event) -> None:
    if channel.gets:
        channel.gets.popleft()
    wire.polls.append((channel.connection, event))


def _settle(_wire: Wire, channel: Channel, event: Event) -> None:
    channel.settle(event)


def _recover(_wire: Wire, channel: Channel, event: Event) -> None:
    channel.recover(event)


def _tx_select(_wire: Wire, channel: Channel, _event: Event) -> None:
    channel.in_transaction = True


def _tx_commit(_wire: Wire, channel: Channel, event: Event) -> None:
    channel.commit(event)


def _tx_commit_ok(_wire: Wire, channel: Channel, event: Event) -> None:
    for publish in channel.uncommitted:
        publish.committed = event
    channel.uncommitted.clear()


def _tx_rollback(_wire: Wire, channel: Channel, _event: Event) -> None:
    channel.asked.clear()
    channel.uncommitted.clear()


def _confirm_select(_wire: Wire, channel: Channel, _event: Event) -> None:
    channel.confirms = True


def _confirm(_wire: Wire, channel: Channel, event: Event) -> None:
    channel.confirm(event)


METHODS: Mapping[tuple[str, str], Callable[[Wire, Channel, Event], None]] = {
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
