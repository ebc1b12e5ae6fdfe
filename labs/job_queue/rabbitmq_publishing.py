"""Publishing to RabbitMQ with confirms, many on their way at a time.

What is published in one call is a batch. Its messages become frames in the caller's
thread, which sends them, as many as the window lets, in one write. Who hears the broker
(`rabbitmq_turn`) counts its confirms, and sends what is left. A batch is done when the last
of it is confirmed. `mandatory` has the broker give back what no queue takes. A return does
not say which publish it was: so all that was on its way to that queue counts as refused,
which may make duplicates, never a loss.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pika import BasicProperties, frame, spec
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from labs.job_queue.bus import BusUnreachable, Message, NotConfirmed
from labs.job_queue.rabbitmq_connection import Connection, in_words
from labs.job_queue.rabbitmq_link import Link

CHANNEL = 1
BODY_B = 100_000
"""A body frame's content; RabbitMQ's frames hold 128 KiB unless it is told otherwise."""
WINDOW = 500
"""So many messages, and so many bytes, are on their way without a confirm at most."""
WINDOW_B = 4 * 1024 * 1024
AGAIN = "Publish it again: that may make a duplicate, never a loss."


class Returned(NotConfirmed):
    """Raised when there is no queue to take the messages: nothing was published."""


class Batch:
    """The messages of one call, until the last is confirmed or one is refused."""

    def __init__(self, queue: str, frames: Sequence[bytes]) -> None:
        self.queue = queue
        self.frames = frames
        self.sent = 0
        self.unconfirmed = len(frames)
        self.error: NotConfirmed | None = None
        self.is_over = threading.Event()

    def confirm(self) -> None:
        """One of it is safe."""
        self.unconfirmed -= 1
        if self.unconfirmed == 0:
            self.is_over.set()

    def fail(self, error: NotConfirmed) -> None:
        """It can't be confirmed any more."""
        self.error = self.error or error
        self.is_over.set()


class Publisher:
    """Publishes over a link of its own: a broker that is short of memory stops whoever publishes.

    Args:
        link: its `on_up` is to call `begin`.
        confirm_timeout_s: how long the broker may confirm nothing.
    """

    def __init__(self, confirm_timeout_s: float) -> None:
        self.link: Link
        self._timeout_s = confirm_timeout_s
        self._connection: Connection | None = None
        self._channel: Channel
        self._waiting: deque[Batch] = deque()
        self._on_their_way: dict[int, tuple[Batch, int]] = {}
        self._on_their_way_b = 0
        self._last_tag = 0
        self._confirms = 0

    def publish(self, queue: str, messages: Sequence[Message], *, patience_s: float) -> None:
        """Publish and wait for the confirms.

        Raises:
            Returned: there is no such queue.
            NotConfirmed, BusUnreachable: as `labs.job_queue.bus.Bus.publish`.
        """
        batch = Batch(queue, frames_of(queue, messages))
        if not messages:
            return
        self.link.wait_until_up(patience_s)
        confirms = self._confirms
        self.link.lead(lambda: self._add(batch), batch.is_over)
        while not batch.is_over.wait(self._timeout_s) and self._confirms != confirms:
            confirms = self._confirms
        if not batch.is_over.is_set():
            batch.fail(self._silence())
            self.link.lead(lambda: self._renew(batch), batch.is_over)
        if batch.error and not batch.sent:
            raise BusUnreachable(str(batch.error), remedy="Nothing was published. Try again later.")
        if batch.error:
            raise batch.error

    def begin(self, connection: Connection) -> None:
        """In the link's thread, with a new connection: open a channel for publishing."""

        def confirming(_: Any) -> None:
            self._last_tag = 0
            self._connection, self._channel = connection, channel
            connection.on_confirm = self._confirmed
            self._send()

        def opened(channel: Channel) -> None:
            channel.add_on_return_callback(self._returned)
            channel.confirm_delivery(self._confirmed, callback=confirming)

        channel = connection.channel(CHANNEL, on_open_callback=opened)
        channel.add_on_close_callback(self._closed)

    def close(self) -> None:
        """Let nobody wait any longer."""
        for batch in tuple(self._waiting):
            batch.fail(NotConfirmed("The bus was closed.", remedy=AGAIN))

    def _closed(self, channel: Channel, reason: Exception) -> None:
        self._connection = None
        if isinstance(reason, ChannelClosedByBroker):
            refusal = in_words(reason)
            error = NotConfirmed(f"The broker took no message. {refusal}", remedy=refusal.remedy)
        else:
            error = NotConfirmed(
                "The connection was lost before the broker had confirmed all messages.",
                remedy=AGAIN,
            )
        error.__cause__ = reason
        lost = {batch for batch, _ in self._on_their_way.values()}
        self._on_their_way.clear()
        self._on_their_way_b = 0
        for batch in lost:
            batch.fail(error)

        def begin_again() -> None:
            connection = self.link.connection
            is_the_same = connection is channel.connection  # the channel alone was closed
            if connection is not None and is_the_same and connection.is_open:
                self.begin(connection)

        self.link.post(begin_again)

    def _renew(self, batch: Batch) -> bool:
        """Take a new connection, if one of this batch is still not confirmed.

        A channel that publishes to a quorum queue in the moment when the broker is back and the
        queue has no leader yet may say nothing ever after (seen on RabbitMQ 3.10), not even
        that it is closed.
        """
        in_doubt = any(one is batch for one, _ in self._on_their_way.values())
        if self._connection is not None and in_doubt and not self.link.blocked:
            connection, self._connection = self._connection, None  # nothing more over this one
            connection.abort()
        return False

    def _change_channel(self) -> None:
        """Publish over a new channel.

        One that was opened while the queue's leader died may refuse all that is published over
        it, though the queue has long had another leader (seen on RabbitMQ 3.10).
        """
        if self._connection is not None:
            self._connection = None  # until there is one
            self._channel.close()

    def _add(self, batch: Batch) -> bool:
        """Send a batch after those that wait; whether it alone is on its way."""
        is_alone = not self._waiting and not self._on_their_way
        self._waiting.append(batch)
        self._send()
        return is_alone and batch.sent > 0

    def _send(self) -> None:
        """Send what the window lets, in one write."""
        frames: list[bytes] = []
        while self._connection is not None and self._waiting and not self.link.blocked:
            batch = self._waiting[0]
            if batch.is_over.is_set() or batch.sent == len(batch.frames):
                self._waiting.popleft()
                continue
            if len(self._on_their_way) >= WINDOW or self._on_their_way_b >= WINDOW_B:
                break
            data = batch.frames[batch.sent]
            batch.sent += 1
            self._last_tag += 1
            self._on_their_way[self._last_tag] = batch, len(data)
            self._on_their_way_b += len(data)
            frames.append(data)
        if frames and self._connection is not None:
            self._connection.send(b"".join(frames))

    def _confirmed(self, said: frame.Method[spec.Basic.Ack | spec.Basic.Nack]) -> None:
        method: Any = said.method
        self._confirms += 1
        tags = [method.delivery_tag]
        if method.multiple:
            # They are in order: all up to this one.
            tags = [tag for tag in self._on_their_way if tag <= method.delivery_tag]
        for tag in tags:
            batch, size = self._on_their_way.pop(tag)
            self._on_their_way_b -= size
            if isinstance(method, spec.Basic.Ack):
                batch.confirm()
            else:
                batch.fail(
                    NotConfirmed(f"The broker refused a message for {batch.queue!r}.", remedy=AGAIN)
                )
                self._change_channel()
        self._send()

    def _returned(self, _: Channel, method: Any, *__: Any) -> None:
        for batch, _size in list(self._on_their_way.values()):
            if batch.queue == method.routing_key:
                batch.fail(
                    Returned(
                        f"There is no queue {batch.queue!r} to publish to.",
                        remedy="Declare it first.",
                    )
                )

    def _silence(self) -> NotConfirmed:
        if self.link.blocked:
            return NotConfirmed(
                f"The broker takes no messages at present: {self.link.blocked}.",
                remedy="Give it memory or disk (`labs doctor`), and publish again.",
            )
        return NotConfirmed(
            f"The broker confirmed nothing for {self._timeout_s:g} s.",
            remedy="Is it overloaded, or most of its nodes down? " + AGAIN,
        )


def frames_of(queue: str, messages: Sequence[Message]) -> list[bytes]:
    """Each message as the frames that publish it."""
    head = _head(queue)
    return [head + _content(message) for message in messages]


@lru_cache(maxsize=100)
def _head(queue: str) -> bytes:
    publish = spec.Basic.Publish(exchange="", routing_key=queue, mandatory=True)
    return frame.Method(CHANNEL, publish).marshal()


def _content(message: Message) -> bytes:
    headers: dict[str, Any] = dict(message.headers)
    properties = BasicProperties(
        headers=headers or None,
        message_id=message.message_id or None,
        delivery_mode=2,
    )
    body = message.body
    parts = [frame.Header(CHANNEL, len(body), properties).marshal()]
    for start in range(0, len(body), BODY_B):
        parts.append(frame.Body(CHANNEL, body[start : start + BODY_B]).marshal())
    return b"".join(parts)
