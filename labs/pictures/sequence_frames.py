"""Frames to steps: which arrow a method is, from whom to whom, and what stands on it.

Two tables say it all, METHODS of the client and of the broker: a frame's name, and the
function that makes its step of the event and of what is known of its channel. A
frame without a row is no step of its own: answers that say no more than "ok", and
what only serves the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from labs.journal import Event
from labs.pictures.sequence_channel import (
    NOBODY,
    Channel,
    Consumer,
    Delivered,
    Message,
    fate_of,
)
from labs.pictures.sequence_lifelines import exchange_key, queue_key
from labs.pictures.sequence_steps import EDGE, Kind, Step, listed

CONTENT = {"basic.publish", "basic.deliver", "basic.get-ok", "basic.return", "header", "body"}


@dataclass(frozen=True)
class Queues:
    """What a journal tells of queues, by their names."""

    known: frozenset[str]
    """Somebody declared them, consumed them, or looked into them."""
    missing: frozenset[str]
    """A message that was to go there came back: there is none."""


@dataclass(frozen=True)
class Frame:
    """A method frame, with what is needed to understand it."""

    event: Event
    client: str
    """The key of the client's lifeline."""
    channel: Channel
    queues: Queues

    def up(self, kind: Kind, verb: str, to: str = EDGE, **rest: str) -> Step:
        """An arrow from the client to the broker."""
        return self._step(kind, self.client, to, verb, **rest)

    def down(self, kind: Kind, verb: str, of: str = EDGE, **rest: str) -> Step:
        """An arrow from the broker to the client."""
        return self._step(kind, of, self.client, verb, **rest)

    def _step(self, kind: Kind, source: str, target: str, verb: str, after: str = "") -> Step:
        return Step(
            kind,
            self.event.at_s,
            (self.event.n,),
            source,
            target,
            verb,
            after=after,
            connection=self.event.connection,
            fate=fate_of(self.event),
        )

    def text(self, name: str) -> str:
        """One of the method's arguments, as text."""
        return str(self.event.data.get(name) or "")

    def says(self, name: str) -> bool:
        """Whether one of the method's arguments is set."""
        return bool(self.event.data.get(name))

    @property
    def tag(self) -> int:
        """The delivery tag."""
        return int(self.event.data.get("delivery_tag") or 0)


def about(step: Step, messages: Sequence[Delivered], *, after: str = "") -> Step:
    """The step with the messages that it is about."""
    bodies = tuple(message.body for message in messages)
    return replace(step, body=listed(bodies), bodies=bodies, after=after or step.after)


def of_message(frame: Frame, message: Message) -> Step:
    """A publish, a delivery or a return, once it is whole."""
    step = CONTENTS[message.method.name](frame, message)
    about_it = (message.body,)
    return replace(
        step, events=message.events, body=message.body, bodies=about_it, fate=message.fate
    )


def _publish(frame: Frame, message: Message) -> Step:
    exchange, key = frame.text("exchange"), frame.text("routing_key")
    if exchange:
        target, after = exchange_key(exchange), f"(key {key})" if key else ""
    elif key in frame.queues.known:
        target, after = queue_key(key), ""
    else:  # whether there is such a queue, the journal may not tell
        target, after = EDGE, f"(key {key}{': no queue' * (key in frame.queues.missing)})"
    channel = frame.channel
    if channel.confirms:
        channel.published += 1
        channel.unconfirmed[channel.published] = Delivered(message.body, target)
    return frame.up(Kind.PUBLISH, "publish", target, after=after)


def _deliver(frame: Frame, message: Message) -> Step:
    consumer = frame.channel.consumers.get(frame.text("consumer_tag"), NOBODY)
    return _hand_over(frame, message, consumer, "deliver")


def _get_ok(frame: Frame, message: Message) -> Step:
    return _hand_over(frame, message, frame.channel.getting, "get")


def _hand_over(frame: Frame, message: Message, consumer: Consumer, verb: str) -> Step:
    queue = consumer.queue or (frame.text("routing_key") if not frame.text("exchange") else "")
    source = queue_key(queue) if queue else EDGE
    if not consumer.no_ack:
        frame.channel.unsettled[frame.tag] = Delivered(message.body, source)
    after = ["again"] if frame.says("redelivered") else []
    after += ["(auto-ack)"] if consumer.no_ack else []
    return frame.down(Kind.DELIVER, verb, source, after=" ".join(after))


def _return(frame: Frame, message: Message) -> Step:
    assert message
    return frame.down(Kind.REFUSE, "return", after=frame.text("reply_text"))


CONTENTS: Mapping[str, Callable[[Frame, Message], Step]] = {
    "basic.publish": _publish,
    "basic.deliver": _deliver,
    "basic.get-ok": _get_ok,
    "basic.return": _return,
}


def _settle(frame: Frame, kind: Kind, verb: str, after: str = "") -> Step:
    """An ack, nack or reject of a client: about one delivery, several, or none that is known."""
    multiple = frame.says("multiple")
    messages = frame.channel.settled(frame.tag, multiple=multiple)
    if not messages:
        return frame.up(kind, verb, after=f"(tag {frame.tag}: nothing open) {after}".strip())
    step = frame.up(kind, verb, messages[-1].lifeline)
    several = f"({len(messages)} at once)" if len(messages) > 1 else ""
    return about(step, messages, after=" ".join(part for part in (several, after) if part))


def _ack(frame: Frame) -> Step:
    return _settle(frame, Kind.SETTLE, "ack")


def _no(verb: str) -> Callable[[Frame], Step]:
    def refuse(frame: Frame) -> Step:
        return _settle(
            frame, Kind.REFUSE, verb, "(requeue)" if frame.says("requeue") else "(no requeue)"
        )

    return refuse


def _confirm(frame: Frame) -> Step:
    return _answer(frame, Kind.CONFIRM, "confirm")


def _refusal(frame: Frame) -> Step:
    return _answer(frame, Kind.REFUSE, "refuse (nack)")


def _answer(frame: Frame, kind: Kind, verb: str) -> Step:
    """The broker's ack or nack of what was published."""
    messages = frame.channel.confirmed(frame.tag, multiple=frame.says("multiple"))
    if not messages:
        return frame.down(kind, verb, after=f"number {frame.tag}")
    several = f"({len(messages)} at once)" if len(messages) > 1 else ""
    return about(frame.down(kind, verb, messages[-1].lifeline), messages, after=several)


def _queue(frame: Frame) -> str:
    """The queue that a method names; an empty name is the one declared last."""
    return frame.text("queue") or frame.channel.declared


def _declare_ok(frame: Frame) -> None:
    frame.channel.declared = frame.text("queue")


def _consume(frame: Frame) -> Step:
    consumer = Consumer(_queue(frame), frame.says("no_ack"))
    if frame.says("no_wait"):
        frame.channel.consumers[frame.text("consumer_tag")] = consumer
    else:
        frame.channel.asked.append(consumer)
    after = "(auto-ack)" if consumer.no_ack else ""
    return frame.up(Kind.SETUP, "consume", queue_key(consumer.queue), after=after)


def _consume_ok(frame: Frame) -> None:
    if frame.channel.asked:
        frame.channel.consumers[frame.text("consumer_tag")] = frame.channel.asked.popleft()


def _get(frame: Frame) -> None:
    frame.channel.getting = Consumer(_queue(frame), frame.says("no_ack"))


def _get_empty(frame: Frame) -> Step:
    return frame.down(Kind.SETUP, "get: empty", queue_key(frame.channel.getting.queue))


def _declare(frame: Frame) -> Step:
    queue = frame.text("queue")
    facts = [word for word in ("durable", "exclusive", "auto_delete") if frame.says(word)]
    after = " ".join(facts).replace("_", "-")
    if frame.says("passive"):
        return frame.up(Kind.SETUP, "ask for the queue", queue_key(queue))
    return frame.up(Kind.SETUP, "declare", queue_key(queue) if queue else EDGE, after=after)


def _qos(frame: Frame) -> Step:
    count = int(frame.event.data.get("prefetch_count") or 0)
    return frame.up(Kind.SETUP, f"prefetch {count}" if count else "prefetch: no limit")


def _select(frame: Frame) -> Step:
    frame.channel.confirms = True
    return frame.up(Kind.SETUP, "ask for confirms")


def _closed(frame: Frame) -> Step:
    """The broker closes a channel or a connection: that always has a reason."""
    what = frame.event.name.split(".")[0]
    why, _, more = f"{frame.text('reply_code')} {frame.text('reply_text')}".partition(" - ")
    return frame.down(Kind.BLOW, f"{why}: {what} closed", after=f"({more})" if more else "")


def _leave(frame: Frame) -> Step:
    what = frame.event.name.split(".")[0]
    return replace(frame.up(Kind.CLOSE, f"close the {what}"), quiet=what == "channel")


def _plain(kind: Kind, verb: str, *names: str, queue: bool = False) -> Callable[[Frame], Step]:
    """An arrow to the broker that says its verb and some of the method's arguments."""

    def step(frame: Frame) -> Step:
        named = frame.text("queue") if queue else ""
        after = " ".join(part for name in names if (part := frame.text(name)))
        return frame.up(kind, verb, queue_key(named) if named else EDGE, after=after)

    return step


def _told(kind: Kind, verb: str, *names: str) -> Callable[[Frame], Step]:
    def step(frame: Frame) -> Step:
        after = " ".join(part for name in names if (part := frame.text(name)))
        return frame.down(kind, verb, after=after)

    return step


METHODS: Mapping[tuple[str, str], Callable[[Frame], Step | None]] = {
    ("client", "channel.open"): _plain(Kind.SETUP, "open a channel"),
    ("client", "queue.declare"): _declare,
    ("broker", "queue.declare-ok"): _declare_ok,
    ("client", "queue.bind"): _plain(Kind.SETUP, "bind to", "exchange", queue=True),
    ("client", "queue.delete"): _plain(Kind.SETUP, "delete the queue", queue=True),
    ("client", "queue.purge"): _plain(Kind.SETUP, "empty the queue", queue=True),
    ("client", "exchange.declare"): _plain(Kind.SETUP, "declare the exchange", "exchange", "type"),
    ("client", "basic.qos"): _qos,
    ("client", "basic.consume"): _consume,
    ("broker", "basic.consume-ok"): _consume_ok,
    ("client", "basic.cancel"): _plain(Kind.CLOSE, "stop consuming"),
    ("broker", "basic.cancel"): _told(Kind.BLOW, "end the subscription"),
    ("client", "basic.get"): _get,
    ("broker", "basic.get-empty"): _get_empty,
    ("client", "basic.ack"): _ack,
    ("client", "basic.nack"): _no("nack"),
    ("client", "basic.reject"): _no("reject"),
    ("client", "basic.recover"): _plain(Kind.REFUSE, "recover"),
    ("client", "confirm.select"): _select,
    ("broker", "basic.ack"): _confirm,
    ("broker", "basic.nack"): _refusal,
    ("client", "tx.select"): _plain(Kind.SETUP, "ask for transactions"),
    ("client", "tx.commit"): _plain(Kind.SETTLE, "commit"),
    ("client", "tx.rollback"): _plain(Kind.REFUSE, "roll back"),
    ("client", "channel.close"): _leave,
    ("client", "connection.close"): _leave,
    ("broker", "channel.close"): _closed,
    ("broker", "connection.close"): _closed,
    ("broker", "connection.blocked"): _told(Kind.BLOW, "blocked:", "reason"),
    ("broker", "connection.unblocked"): _told(Kind.NOTE, "unblocked"),
}
"""Who sends which method -> what step it is; None: no step of its own."""
