"""What the job queue asks of a message bus, and a bus in memory that keeps the same promises.

A bus has named queues of messages. What `publish` returns from is safe; what is
delivered stays the queue's until it is settled, and comes back when whoever had it
is gone. `labs.job_queue.rabbitmq` is the real one. Both are held to one contract suite
(`tests/job_queue/test_bus.py`): a lesson or a test that runs in memory runs the same
on RabbitMQ, only faster and with nothing to survive a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from labs.errors import BadInput, BrokerUnreachable, LabError

Header = str | int | bool
"""What a header's value may be. No fractions: pika can't send them, and cuts those it gets."""

LONGEST_NAME_B = 255
"""Of a message_id and of the name of a header."""

LONGEST_DELAY_S = 4_000_000.0
"""46 days: the broker's clocks for a queue count to 49."""


class BusUnreachable(BrokerUnreachable):
    """Raised when the broker does not answer, or the connection is lost before it has."""


class NoSuchQueue(LabError):
    """Raised when a queue is asked for something and it is not there."""

    exit_code = 13


class NotConfirmed(LabError):
    """Raised when the broker has not taken what was published: it may be published again.

    A lost connection leaves it open whether the broker has some of it; publishing again
    may then make duplicates, never a loss.
    """

    exit_code = 12


@dataclass(frozen=True, slots=True)
class Message:
    """What goes into a queue and comes out of it, unchanged."""

    body: bytes
    headers: Mapping[str, Header] = field(default_factory=dict)
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in somebody's hand, until it is settled."""

    queue: str
    message: Message
    redelivered: bool
    """Somebody may have had it before."""
    losses: int
    """How often it was delivered before and never settled, as far as the broker counts.

    RabbitMQ's quorum queues do; before 4.3 what was requeued counts too. Classic ones don't (0).
    """
    tag: object
    """The bus's own: settles this delivery and no other, void once its connection is lost."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue as it should be: durable, and never dropping anything by itself."""

    name: str
    config: Mapping[str, Header] = field(default_factory=dict)
    """The bus's own arguments, such as `x-queue-type` (RabbitMQ), passed on as they are."""
    dead_letters_to: str | None = None
    """Where a message goes that has been lost by its workers too often; None: nowhere."""
    max_losses: int | None = None
    """How many losses it survives; with one more it is too often. None: any number."""

    def __post_init__(self) -> None:
        if self.max_losses is not None and (self.max_losses < 0 or self.dead_letters_to is None):
            raise BadInput(
                f"The queue {self.name!r} would drop what was lost {self.max_losses} times.",
                remedy="Give max_losses as 0 or more, and with it dead_letters_to.",
            )


class Subscription(Protocol):
    """A consumer of one queue."""

    def cancel(self) -> None:
        """Take no more deliveries: none comes once this has returned.

        Those that were taken can still be settled.
        """


class Bus(Protocol):
    """A message bus. All methods may be called from any thread."""

    def declare(self, queue: QueueSpec) -> None:
        """Make the queue unless it is there.

        The bus keeps in mind what it declared: when it finds the queue gone, it makes it anew.

        Raises:
            BadInput: it is there with other properties.
            BusUnreachable: the broker is not.
        """

    def publish(self, queue: str, messages: Sequence[Message], *, delay_s: float = 0.0) -> None:
        """Put the messages into the queue, in order; return when the broker has confirmed all.

        With `delay_s` they appear in the queue that many seconds later, never sooner; a queue
        that is gone by then gets them when it is there again.

        Raises:
            BadInput: a message or the delay can't be sent: nothing was published.
            NotConfirmed: the broker refused one (or has no such queue), or did not say.
            BusUnreachable: the broker could not be reached, nothing was published.
        """

    def consume(
        self, queue: str, on_delivery: Callable[[Delivery], None], *, prefetch: int
    ) -> Subscription:
        """Call `on_delivery` for each message, with at most `prefetch` unsettled at a time.

        It is called in a thread of the bus's and must return at once. A lost connection is
        made anew by the bus, for as long as it takes; the subscription goes on. So it does
        where the queue is not there (yet, or any more).
        """

    def ack(self, delivery: Delivery) -> None:
        """Done: the queue forgets the message. Returns at once. A void delivery is no error."""

    def requeue(self, delivery: Delivery) -> None:
        """Hand it back: it is ready for anybody again. Returns at once. Void is no error."""

    def holds(self, delivery: Delivery) -> bool:
        """Whether the delivery is still in our hand. Returns at once, and says nothing for sure.

        False: it was settled, or its connection is lost and the broker gives it out again, so
        that to work on it now is to do it twice.
        """

    def get(self, queue: str) -> Delivery | None:
        """One message, to be settled like any other; None: nothing is ready.

        Raises:
            NoSuchQueue, BusUnreachable: as they say.
        """

    def count(self, queue: str) -> int:
        """How many messages are ready (neither delivered nor delayed).

        Raises:
            NoSuchQueue, BusUnreachable: as they say.
        """

    def delete(self, queue: str) -> None:
        """Delete the queue with what is in it; no error if it is not there.

        Raises:
            BusUnreachable: the broker could not be reached.
        """

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has what was acked and requeued; False: it did not say so."""

    def check(self, timeout_s: float = 5.0) -> None:
        """Return if the broker answers.

        Raises:
            BusUnreachable: it does not.
        """

    def close(self) -> None:
        """Close the connections; what is unsettled goes back to its queue. Twice is no error."""


def check_publishing(messages: Sequence[Message], delay_s: float) -> None:
    """Refuse at the door what no bus can carry.

    Raises:
        BadInput: a delay out of range, a body that is not bytes, a header of another kind
            than `Header`, or a whole number or a name that is too long for the wire.
    """
    if not 0.0 <= delay_s <= LONGEST_DELAY_S:
        raise BadInput(
            f"A delay of {delay_s:g} s can't be had.",
            remedy=f"Choose one from 0 to {LONGEST_DELAY_S:.0f} s, which is 46 days.",
        )
    for message in messages:
        if not isinstance(message.body, bytes):
            raise BadInput(
                f"A message's body is bytes, not {type(message.body).__name__}.",
                remedy="Encode it first, as JSON in UTF-8 for example.",
            )
        if len(message.message_id.encode()) > LONGEST_NAME_B:
            raise BadInput(
                f"A message_id may have {LONGEST_NAME_B} bytes.", remedy="Use a UUID, for example."
            )
        for name, value in message.headers.items():
            if type(value) not in (str, int, bool) or len(name.encode()) > LONGEST_NAME_B:
                raise BadInput(
                    f"The header {name[:40]!r} can't be sent.",
                    remedy="A header is text, a whole number or a truth value; its name is short.",
                )
            if type(value) is int and not -(2**63) <= value < 2**63:
                raise BadInput(
                    f"The header {name!r} is too large a number.",
                    remedy="Whole numbers have 64 bits: send it as text.",
                )
