"""Consuming from RabbitMQ: a subscription outlives its channels and its queue.

A `RabbitSubscription` opens a channel on each new connection, and again when the broker
closes its channel or ends its consumer. What is delivered over a channel is a `Taking`'s
(`rabbitmq_taking`). A `Consumer` keeps all subscriptions of one link.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from labs.job_queue.bus import Delivery, QueueSpec
from labs.job_queue.rabbitmq_connection import Connection
from labs.job_queue.rabbitmq_link import Link
from labs.job_queue.rabbitmq_queues import arguments_of
from labs.job_queue.rabbitmq_taking import Taking

log = logging.getLogger(__name__)

OTHER_PROPERTIES = 406
CANCEL_TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
LOOK_S = 10.0
"""How often a subscription makes sure that it is not passed by."""


class RabbitSubscription:
    """A consumer of one queue, over one channel after the other."""

    def __init__(
        self,
        consumer: Consumer,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        prefetch: int,
    ) -> None:
        self.queue = queue
        self.prefetch = prefetch
        self._consumer = consumer
        self._on_delivery = on_delivery
        self._taking: Taking | None = None
        self._tries = 0
        self._declare_first = False
        self._is_ending = False
        self._is_mute = False
        self._has_ended = threading.Event()

    def cancel(self) -> None:
        """Take no more deliveries: none comes once this has returned."""
        link = self._consumer.link
        self._is_ending = True
        self._consumer.forget(self)
        link.post(self._cancel)
        if link.is_up and not link.is_own_thread():
            self._has_ended.wait(CANCEL_TIMEOUT_S)
        self._is_mute = True

    def open(self, connection: Connection) -> None:
        """In the link's thread: consume over a new channel."""
        if not self._is_ending and connection.is_open:
            channel = connection.channel(on_open_callback=self._opened)
            channel.add_on_close_callback(self._closed)

    def mute(self) -> None:
        """Call nobody any more."""
        self._is_ending = self._is_mute = True

    def _opened(self, channel: Channel) -> None:
        channel.add_on_cancel_callback(lambda _: channel.close())  # the broker ended it
        spec = self._consumer.known(self.queue) if self._declare_first else None
        if spec is None:
            self._set_prefetch(channel)
            return
        channel.queue_declare(
            spec.name,
            durable=True,
            arguments=arguments_of(spec),
            callback=lambda _: self._set_prefetch(channel),
        )

    def _set_prefetch(self, channel: Channel) -> None:
        channel.basic_qos(prefetch_count=self.prefetch, callback=lambda _: self._consume(channel))

    def _consume(self, channel: Channel) -> None:
        if self._is_ending:
            channel.close()
            return
        taking = self._taking = self._consumer.take_over(channel)

        def on_message(_: Channel, method: Any, properties: Any, body: bytes) -> None:
            delivery = taking.delivery(self.queue, method, properties, body)
            if self._is_mute:
                return
            try:
                self._on_delivery(delivery)
            except Exception:  # theirs: it must not end the connection, which others use too
                log.exception("A subscriber of %s failed", self.queue)

        def consuming(_: Any) -> None:
            self._tries = 0
            self._look_later(taking)

        channel.basic_consume(
            self.queue,
            on_message,
            consumer_tag=f"{self._consumer.name}-{secrets.token_hex(4)}",
            callback=consuming,
        )

    def _look_later(self, taking: Taking, was_passed_by: int | None = None) -> None:
        self._consumer.link.later(LOOK_S, lambda: self._look(taking, was_passed_by))

    def _look(self, taking: Taking, was_passed_by: int | None) -> None:
        """Consume anew if messages are ready, nothing is in hand, and none has come since.

        When a queue is deleted and made anew within 20 ms, RabbitMQ 3.10 tells nobody, and
        delivers nothing to the consumers that it says it has.
        """

        def seen(found: Any) -> None:
            is_passed_by = found.method.message_count > 0 and not taking.has_any()
            if is_passed_by and was_passed_by == taking.last_number:
                taking.channel.close()
            else:
                self._look_later(taking, taking.last_number if is_passed_by else None)

        if taking is self._taking and taking.channel.is_open and not self._is_ending:
            taking.channel.queue_declare(self.queue, passive=True, callback=seen)

    def _closed(self, channel: Channel, reason: Exception) -> None:
        taking, self._taking = self._taking, None
        if taking is not None:
            self._consumer.drop(taking)
        if self._is_ending:
            self._has_ended.set()
            return
        connection: Any = channel.connection
        if not connection.is_open:
            return  # the link makes a new one
        code = reason.reply_code if isinstance(reason, ChannelClosedByBroker) else None
        self._declare_first = code != OTHER_PROPERTIES
        log.warning("%s: not consumed at present: %s", self.queue, reason)
        pause_s = min(FIRST_PAUSE_S * 2**self._tries, LONGEST_PAUSE_S)
        self._tries = min(self._tries + 1, 16)
        self._consumer.link.later(pause_s, lambda: self.open(connection))

    def _cancel(self) -> None:
        taking = self._taking
        if taking is None or not taking.channel.is_open:
            self._has_ended.set()
            return
        channel = taking.channel

        def cancelled(_: Any) -> None:
            self._is_mute = True
            self._has_ended.set()
            taking.retire()

        for tag in channel.consumer_tags:
            channel.basic_cancel(tag, callback=cancelled)


class Consumer:
    """All that is consumed over one link.

    Args:
        name: what the consumer tags begin with.
        known: the queue of this name as it was declared, if it was.
    """

    def __init__(self, name: str, known: Callable[[str], QueueSpec | None]) -> None:
        self.link: Link
        self.name = name
        self.known = known
        self._subscriptions: list[RabbitSubscription] = []
        self._takings: set[Taking] = set()

    def begin(self, connection: Connection) -> None:
        """In the link's thread, with a new connection: consume again."""
        for subscription in tuple(self._subscriptions):
            subscription.open(connection)

    def consume(
        self, queue: str, on_delivery: Callable[[Delivery], None], prefetch: int
    ) -> RabbitSubscription:
        """Subscribe, now or when there is a connection."""
        subscription = RabbitSubscription(self, queue, on_delivery, prefetch)

        def begin() -> None:
            self._subscriptions.append(subscription)
            if (connection := self.link.connection) is not None:
                subscription.open(connection)

        self.link.start()
        self.link.post(begin)
        return subscription

    def forget(self, subscription: RabbitSubscription) -> None:
        """Don't open it on the next connection."""
        with suppress(ValueError):
            self._subscriptions.remove(subscription)

    def take_over(self, channel: Channel) -> Taking:
        """In the link's thread: a taking on this channel."""
        taking = Taking(self.link, channel)
        self._takings.add(taking)
        return taking

    def drop(self, taking: Taking) -> None:
        """In the link's thread: its channel is closed."""
        self._takings.discard(taking)
        for tell in taking.tell_when_void:
            tell()

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has what was settled over all channels that are open."""
        is_over, silent = threading.Event(), set(self._takings)

        def ask() -> None:
            silent.intersection_update(self._takings)
            for taking in tuple(silent):

                def has_it(_: Any, taking: Taking = taking) -> None:
                    silent.discard(taking)
                    if not silent:
                        is_over.set()

                if not taking.channel.is_open:
                    silent.discard(taking)  # it is closing: what was settled stands before that
                else:
                    taking.tell_when_void.append(is_over.set)
                    taking.flush()
                    # What answers this has heard all that was said on the channel before.
                    taking.channel.basic_qos(prefetch_count=0, callback=has_it)
            if not silent:
                is_over.set()

        if silent:
            self.link.post(ask)
            is_over.wait(timeout_s)
        return not silent

    def flush_all(self) -> None:
        """In the link's thread: tell the broker what was settled."""
        for taking in self._takings:
            taking.flush()

    def mute(self) -> None:
        """Call no subscriber any more."""
        for subscription in tuple(self._subscriptions):
            subscription.mute()
