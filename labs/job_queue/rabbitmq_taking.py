"""What was taken over one channel to RabbitMQ, settled from any thread, in bunches.

A `Taking` is the life of one channel: what was delivered over it can be settled over it
alone, and is void once it is closed. What other threads settle gathers, and leaves in one
write; what is settled without a gap is acknowledged by one frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from pika.channel import Channel

from labs.job_queue.bus import Delivery, Message
from labs.job_queue.rabbitmq_link import Link
from labs.job_queue.rabbitmq_queues import headers_of


class Tag(NamedTuple):
    """The bus's own mark of a delivery."""

    taking: Taking
    number: int


class Taking:
    """What is delivered over one channel, and settled."""

    def __init__(self, link: Link, channel: Channel) -> None:
        self.link = link
        self.channel = channel
        self.last_number = 0
        """Of what was delivered; 0: nothing was."""
        self._in_hand: set[int] = set()
        self._settled: deque[tuple[int, bool]] = deque()
        self._settled_up_to = 0
        self._ahead: set[int] = set()
        self._is_retiring = False
        self.tell_when_void: list[Callable[[], None]] = []

    def delivery(self, queue: str, method: Any, properties: Any, body: bytes) -> Delivery:
        """What pika hands over, as ours."""
        raw = properties.headers
        losses = raw.get("x-delivery-count", 0) if raw else 0
        self.last_number = method.delivery_tag
        self._in_hand.add(method.delivery_tag)
        return Delivery(
            queue,
            Message(body, headers_of(raw), properties.message_id or ""),
            method.redelivered,
            losses if isinstance(losses, int) else 0,
            Tag(self, method.delivery_tag),
        )

    def settle(self, number: int, *, done: bool) -> None:
        """From any thread: acknowledge this one, or hand it back."""
        try:
            self._in_hand.remove(number)
        except KeyError:
            return  # settled before: the broker would close the channel
        self._settled.append((number, done))
        if len(self._settled) == 1:  # else who came before has seen to it
            self.link.post(self.flush)

    def holds(self, number: int) -> bool:
        """From any thread: whether this one is not settled, nor void as far as we know."""
        return number in self._in_hand and self.channel.is_open

    def has_any(self) -> bool:
        """Whether any of it is not settled."""
        return bool(self._in_hand)

    def retire(self) -> None:
        """In the link's thread: close the channel once nothing delivered over it is open."""
        self._is_retiring = True
        self.flush()

    def flush(self) -> None:
        """In the link's thread: tell the broker what was settled."""
        channel, done = self.channel, []
        if not channel.is_open:
            self._settled.clear()
            return
        while self._settled:
            number, is_done = self._settled.popleft()
            self._ahead.add(number)
            if is_done:
                done.append(number)
            else:
                channel.basic_nack(number, requeue=True)
        while self._settled_up_to + 1 in self._ahead:
            self._settled_up_to += 1
            self._ahead.remove(self._settled_up_to)
        self._acknowledge(done)
        if self._is_retiring and not self._in_hand:
            channel.close()

    def _acknowledge(self, done: list[int]) -> None:
        done.sort()
        without_gap = [number for number in done if number <= self._settled_up_to]
        if without_gap:
            # `multiple` settles all up to this one: right only because none before it is open.
            self.channel.basic_ack(without_gap[-1], multiple=len(without_gap) > 1)
        for number in done[len(without_gap) :]:
            self.channel.basic_ack(number)
