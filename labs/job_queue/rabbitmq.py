"""The bus on RabbitMQ: `RabbitBus` keeps the promises of `labs.job_queue.bus`.

It has two connections, each in a thread of its own (`rabbitmq_link`): one publishes
(`rabbitmq_publishing`), the other consumes, gets and asks (`rabbitmq_consuming`,
`rabbitmq_getting`). For a broker that is short of memory stops whoever publishes, and must
still hear what is acknowledged. Queues are declared as `rabbitmq_queues` says. Nothing
here imports pika, and no password is in what is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from labs.broker.address import parse_amqp_url
from labs.errors import BadInput
from labs.job_queue.bus import (
    Delivery,
    Message,
    NoSuchQueue,
    NotConfirmed,
    QueueSpec,
    check_publishing,
)
from labs.job_queue.rabbitmq_consuming import Consumer, RabbitSubscription
from labs.job_queue.rabbitmq_getting import Getter
from labs.job_queue.rabbitmq_link import Link, Question
from labs.job_queue.rabbitmq_publishing import Publisher, Returned
from labs.job_queue.rabbitmq_queues import (
    DECLARE_AGAIN_S,
    arguments_of,
    delay_arguments,
    delay_queue,
    whole_ms,
)
from labs.job_queue.rabbitmq_taking import Tag

BURIAL_S = 0.25
"""Between the end of a queue and a new one of its name. RabbitMQ 3.10 tells nobody when a queue is
over, and loses what is put into a new one of its name within 10 ms; after 30 ms it did not."""


class RabbitBus:
    """One client of a RabbitMQ, or of a cluster of them. It connects when it is first used.

    Args:
        url: where the broker is, `amqp://…` or `amqps://…`; several for a cluster's nodes.
        name: shown by the broker for the connections; what the consumer tags begin with.
        heartbeat_s: a broker that says nothing for about three of them is given up.
        patience_s: how long a call waits for a connection that is lost, or for an answer.
        confirm_timeout_s: how long `publish` waits while the broker confirms nothing.

    Raises:
        BadInput: it is no AMQP URL.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        name: str = "job_queue_consumer",
        heartbeat_s: int = 20,
        patience_s: float = 5.0,
        confirm_timeout_s: float = 10.0,
    ) -> None:
        addresses = [parse_amqp_url(one) for one in ([url] if isinstance(url, str) else url)]
        if not addresses:
            raise BadInput("There is no broker's URL.", remedy="Give at least one.")
        self._patience_s = patience_s
        self._declared: dict[str, QueueSpec] = {}
        self._delays: dict[str, float] = {}
        self._publisher = Publisher(confirm_timeout_s)
        self._consumer = Consumer(name, self._declared.get)
        self._getter = Getter(self._consumer)
        self._publisher.link = Link(
            addresses, f"{name}: publishing", heartbeat_s=heartbeat_s, on_up=self._publisher.begin
        )
        self._consumer.link = Link(
            addresses, f"{name}: consuming", heartbeat_s=heartbeat_s, on_up=self._consumer.begin
        )

    def declare(self, queue: QueueSpec) -> None:
        """Make the queue unless it is there; see `labs.job_queue.bus.Bus.declare`."""
        arguments = dict(arguments_of(queue))
        self._ask(
            lambda channel, answered: channel.queue_declare(
                queue.name, durable=True, arguments=arguments, callback=answered
            )
        )
        self._declared[queue.name] = queue

    def publish(self, queue: str, messages: Sequence[Message], *, delay_s: float = 0.0) -> None:
        """Put the messages into the queue; see `labs.job_queue.bus.Bus.publish`."""
        check_publishing(messages, delay_s)
        ms = whole_ms(delay_s)
        target, make = queue, self._make_anew
        if ms:
            target = delay_queue(queue, ms)

            def make(queue: str) -> None:
                self._declare_delay(queue, ms)

            if time.monotonic() > self._delays.get(target, 0.0):
                make(queue)
        try:
            self._publisher.publish(target, messages, patience_s=self._patience_s)
        except Returned:
            make(queue)
            self._publisher.publish(target, messages, patience_s=self._patience_s)

    def consume(
        self, queue: str, on_delivery: Callable[[Delivery], None], *, prefetch: int
    ) -> RabbitSubscription:
        """Call `on_delivery` for each message; see `labs.job_queue.bus.Bus.consume`."""
        return self._consumer.consume(queue, on_delivery, prefetch)

    def ack(self, delivery: Delivery) -> None:
        """Done: the queue forgets the message."""
        if isinstance(tag := delivery.tag, Tag):
            tag.taking.settle(tag.number, done=True)

    def requeue(self, delivery: Delivery) -> None:
        """Hand it back."""
        if isinstance(tag := delivery.tag, Tag):
            tag.taking.settle(tag.number, done=False)

    def holds(self, delivery: Delivery) -> bool:
        """Whether the delivery is still in our hand."""
        tag = delivery.tag
        return isinstance(tag, Tag) and tag.taking.holds(tag.number)

    def get(self, queue: str) -> Delivery | None:
        """One message; None: nothing is ready."""
        return self._getter.get(queue, self._patience_s)

    def count(self, queue: str) -> int:
        """How many messages are ready."""
        found = self._ask(
            lambda channel, answered: channel.queue_declare(queue, passive=True, callback=answered)
        )
        return int(found.method.message_count)

    def delete(self, queue: str) -> None:
        """Delete the queue with what is in it."""
        self._declared.pop(queue, None)
        self._ask(lambda channel, answered: channel.queue_delete(queue, callback=answered))

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has what was acked and requeued."""
        return self._consumer.flush(timeout_s)

    def check(self, timeout_s: float = 5.0) -> None:
        """Return if the broker answers; say at once why not."""
        self._consumer.link.ask(
            lambda _, answered: answered(None), patience_s=timeout_s, quick=True
        )

    def close(self) -> None:
        """Close the connections; what is unsettled goes back to its queue."""
        self._consumer.mute()
        links = (self._consumer.link, self._publisher.link)
        links[0].leave(self._consumer.flush_all)
        links[1].leave()
        self._publisher.close()
        for link in links:
            link.join()

    def _ask(self, question: Question) -> Any:
        return self._consumer.link.ask(question, patience_s=self._patience_s)

    def _make_anew(self, queue: str) -> None:
        if queue not in self._declared:
            raise NotConfirmed(
                f"There is no queue {queue!r}: nothing was published.", remedy="Declare it first."
            )
        time.sleep(BURIAL_S)
        self.declare(self._declared[queue])

    def _declare_delay(self, queue: str, ms: int) -> None:
        """Make the queue in which messages wait so long, or have its life begin anew."""
        try:
            self.count(queue)
        except NoSuchQueue:
            self._make_anew(queue)
        name, arguments = delay_queue(queue, ms), dict(delay_arguments(queue, ms))
        again_s = time.monotonic() + DECLARE_AGAIN_S
        self._ask(
            lambda channel, answered: channel.queue_declare(
                name, durable=True, arguments=arguments, callback=answered
            )
        )
        self._delays[name] = again_s
