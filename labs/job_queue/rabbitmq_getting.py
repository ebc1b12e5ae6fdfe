"""Taking single messages out of queues on RabbitMQ, one at a time.

Each queue has a channel for it, which stays open as long as what was got may be settled.
A question that the broker leaves unanswered costs the channel: so a message that comes
too late to be handed over goes back to its queue.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any

from pika import spec
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from labs.job_queue.bus import BusUnreachable, Delivery
from labs.job_queue.rabbitmq_connection import Lost, in_words, settle
from labs.job_queue.rabbitmq_consuming import Consumer
from labs.job_queue.rabbitmq_taking import Taking


class Getter:
    """Gets messages over the consumer's link."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._takings: dict[str, Taking] = {}
        self._one_at_a_time = threading.Lock()
        self._asked = ""
        self._answer: Future[Delivery | None] = Future()

    def get(self, queue: str, patience_s: float) -> Delivery | None:
        """One message; None: nothing is ready.

        Raises:
            NoSuchQueue, BadInput: the broker refused.
            BusUnreachable: it did not answer in time.
        """
        link, end_s = self._consumer.link, time.monotonic() + patience_s
        with self._one_at_a_time:
            while True:
                link.wait_until_up(end_s - time.monotonic())
                self._asked, self._answer = queue, Future()
                answer = self._answer
                link.post(lambda: self._begin(queue))
                try:
                    return answer.result(max(0.0, end_s - time.monotonic()))
                except TimeoutError:
                    answer.cancel()
                    link.post(lambda: self._give_up(queue))
                    raise BusUnreachable(
                        f"{link.shown} did not answer in {patience_s:g} s.", remedy="Try again."
                    ) from None
                except ChannelClosedByBroker as refusal:
                    raise in_words(refusal) from refusal
                except Lost:
                    continue

    def _begin(self, queue: str) -> None:
        taking, connection = self._takings.get(queue), self._consumer.link.connection
        if taking is not None:
            self._get(queue, taking)
        elif connection is not None:
            channel = connection.channel(on_open_callback=lambda _: self._get(queue, opening))
            opening = self._takings[queue] = self._consumer.take_over(channel)
            channel.add_on_close_callback(lambda _, reason: self._closed(queue, opening, reason))
            channel.add_callback(lambda _: self._say(queue, None), [spec.Basic.GetEmpty], False)

    def _get(self, queue: str, taking: Taking) -> None:
        def came(_: Channel, method: Any, properties: Any, body: bytes) -> None:
            delivery = taking.delivery(queue, method, properties, body)
            if not self._say(queue, delivery):
                taking.settle(method.delivery_tag, done=False)

        taking.channel.basic_get(queue, came)

    def _closed(self, queue: str, taking: Taking, reason: Exception) -> None:
        self._consumer.drop(taking)
        if self._takings.get(queue) is taking:
            del self._takings[queue]
        self._say(queue, reason if isinstance(reason, ChannelClosedByBroker) else Lost())

    def _say(self, queue: str, result: Delivery | Exception | None) -> bool:
        """Answer who waits for it; False: nobody does."""
        return self._asked == queue and settle(self._answer, result)

    def _give_up(self, queue: str) -> None:
        taking = self._takings.pop(queue, None)
        if taking is not None and taking.channel.is_open:
            taking.channel.close()
