"""Taking single messages out of queues on RabbitMQ, one at a time.

Each queue has a channel for it, which stays open as long as what was got may be settled.
A question that the broker leaves unanswered costs the channel: so a message that comes
too late to be handed over goes back to its queue.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from pika import spec
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from labs.job_queue.bus import BusUnreachable, Delivery, NoSuchQueue
from labs.job_queue.rabbitmq_consuming import Consumer, Taking


class Getter:
    """Gets messages over the consumer's link."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._takings: dict[str, Taking] = {}
        self._one_at_a_time = threading.Lock()
        self._answer: Future[Delivery | None] = Future()

    def get(self, queue: str, patience_s: float) -> Delivery | None:
        """One message; None: nothing is ready.

        Raises:
            NoSuchQueue, BusUnreachable: as they say.
        """
        link = self._consumer.link
        with self._one_at_a_time:
            link.wait_until_up(patience_s)
            self._answer = Future()
            link.post(lambda: self._begin(queue))
            try:
                return self._answer.result(patience_s)
            except TimeoutError:
                link.post(lambda: self._give_up(queue))
                raise BusUnreachable(
                    f"{link.shown} did not answer in {patience_s:g} s.", remedy="Try again."
                ) from None
            except ChannelClosedByBroker as refusal:
                raise NoSuchQueue(
                    f"The queue {queue!r} can't be read: {refusal.reply_text}",
                    remedy="Declare it first.",
                ) from refusal
            except Exception as reason:
                raise BusUnreachable(
                    f"The connection to {link.shown} was lost before the answer came.",
                    remedy="Try again.",
                ) from reason

    def _begin(self, queue: str) -> None:
        taking = self._takings.get(queue)
        connection = self._consumer.link.connection
        if taking is not None and taking.channel.is_open:
            self._get(queue, taking)
        elif connection is not None:
            connection.channel(on_open_callback=lambda channel: self._opened(queue, channel))

    def _opened(self, queue: str, channel: Channel) -> None:
        answer_of = self._answer
        taking = self._takings[queue] = self._consumer.take_over(channel)

        def closed(_: Channel, reason: Exception) -> None:
            self._consumer.drop(taking)
            self._takings.pop(queue, None)
            self._settle(reason)

        channel.add_on_close_callback(closed)
        channel.add_callback(lambda _: self._settle(None), [spec.Basic.GetEmpty], one_shot=False)
        if answer_of.done():
            channel.close()
        else:
            self._get(queue, taking)

    def _get(self, queue: str, taking: Taking) -> None:
        def came(_: Channel, method: Any, properties: Any, body: bytes) -> None:
            self._settle(taking.delivery(queue, method, properties, body))

        taking.channel.basic_get(queue, came)

    def _settle(self, result: Delivery | Exception | None) -> None:
        if self._answer.done():
            return
        if isinstance(result, Exception):
            self._answer.set_exception(result)
        else:
            self._answer.set_result(result)

    def _give_up(self, queue: str) -> None:
        taking = self._takings.pop(queue, None)
        if taking is not None and taking.channel.is_open:
            taking.channel.close()
