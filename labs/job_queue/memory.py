"""A bus in memory, for lessons and tests: the promises of `labs.job_queue.bus`, no broker.

A `MemoryBroker` holds the queues, under one lock; each `MemoryBus` is one client's
connection to it, with a thread that hands out deliveries. Several buses on one broker
are several replicas. `lose_connection` does what a cut cable does: deliveries are void,
come back, and the losses are counted. What it can't do is survive its process.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from labs.errors import BadInput
from labs.job_queue.bus import (
    BusUnreachable,
    Delivery,
    Message,
    NoSuchQueue,
    NotConfirmed,
    QueueSpec,
    check_publishing,
)

log = logging.getLogger(__name__)


@dataclass(order=True)
class _Stored:
    """A message in a queue; a lower number is nearer to the head."""

    number: int
    message: Message = field(compare=False)
    redelivered: bool = field(compare=False, default=False)
    losses: int = field(compare=False, default=0)


@dataclass
class _Queue:
    spec: QueueSpec
    ready: list[_Stored] = field(default_factory=list)
    """A heap: what comes back takes its old place."""


@dataclass(eq=False)
class _Hand:
    """A delivery that is not settled: the broker's side of its tag."""

    queue: _Queue
    stored: _Stored
    owner: MemorySubscription | None


class MemoryBroker:
    """The queues, and what waits for its time. `changed` guards all of it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.queues: dict[str, _Queue] = {}
        self._numbers = itertools.count()
        self._later: list[tuple[float, int, str, _Stored]] = []
        self._homeless: list[tuple[str, _Stored]] = []

    def put(self, name: str, message: Message, delay_s: float) -> None:
        """Keep the message, for now or for later."""
        number = next(self._numbers)
        due_s = time.monotonic() + delay_s
        heapq.heappush(self._later, (due_s, number, name, _Stored(number, message)))

    def give_back(self, hand: _Hand, *, lost: bool) -> None:
        """Make a delivery's message ready again, or dead once it was lost too often."""
        stored, spec = hand.stored, hand.queue.spec
        stored.redelivered = True
        stored.losses += lost
        if spec.max_losses is not None and stored.losses > spec.max_losses:
            assert spec.dead_letters_to is not None, "QueueSpec sees to it"
            self._homeless.append((spec.dead_letters_to, replace(stored, losses=0)))
        else:
            heapq.heappush(hand.queue.ready, stored)

    def release_due(self) -> float | None:
        """Move what is due into its queue; in how many seconds there will be more."""
        now_s = time.monotonic()
        while self._later and self._later[0][0] <= now_s:
            _, _, name, stored = heapq.heappop(self._later)
            self._homeless.append((name, stored))
        arrived, self._homeless = self._homeless, []
        for name, stored in arrived:
            if name in self.queues:
                stored.number = next(self._numbers)
                heapq.heappush(self.queues[name].ready, stored)
            else:
                self._homeless.append((name, stored))
        return self._later[0][0] - now_s if self._later else None


class MemorySubscription:
    """A consumer of one queue of a `MemoryBroker`."""

    def __init__(
        self, bus: MemoryBus, queue: str, on_delivery: Callable[[Delivery], None], prefetch: int
    ) -> None:
        self.queue = queue
        self.on_delivery = on_delivery
        self.prefetch = prefetch
        self.unsettled = 0
        self._bus = bus

    def cancel(self) -> None:
        """Take no more deliveries."""
        self._bus.drop(self)


class MemoryBus:
    """One client of a broker in memory; without one it has a broker of its own."""

    def __init__(self, broker: MemoryBroker | None = None) -> None:
        self._broker = broker or MemoryBroker()
        self._changed = self._broker.changed
        self._hands: set[_Hand] = set()
        self._subscriptions: list[MemorySubscription] = []
        self._declared: dict[str, QueueSpec] = {}
        self._closed = False
        self._handing_out = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="memory bus", daemon=True)

    def declare(self, queue: QueueSpec) -> None:
        """Make the queue unless it is there; see `labs.job_queue.bus.Bus.declare`."""
        with self._changed:
            self._check_open()
            there = self._broker.queues.setdefault(queue.name, _Queue(queue))
            if there.spec != queue:
                raise BadInput(
                    f"The queue {queue.name!r} is there with other properties: {there.spec}.",
                    remedy="Declare it as it is, or delete it first.",
                )
            self._declared[queue.name] = queue
            self._changed.notify_all()

    def publish(self, queue: str, messages: Sequence[Message], *, delay_s: float = 0.0) -> None:
        """Put the messages into the queue; see `labs.job_queue.bus.Bus.publish`."""
        check_publishing(messages, delay_s)
        with self._changed:
            self._check_open()
            if queue in self._declared:  # somebody else may have deleted it
                self._broker.queues.setdefault(queue, _Queue(self._declared[queue]))
            if queue not in self._broker.queues:
                raise NotConfirmed(
                    f"There is no queue {queue!r}: nothing was published.",
                    remedy="Declare it first.",
                )
            for message in messages:
                self._broker.put(queue, message, delay_s)
            self._changed.notify_all()

    def consume(
        self, queue: str, on_delivery: Callable[[Delivery], None], *, prefetch: int
    ) -> MemorySubscription:
        """Call `on_delivery` for each message; see `labs.job_queue.bus.Bus.consume`."""
        subscription = MemorySubscription(self, queue, on_delivery, prefetch)
        with self._changed:
            self._check_open()
            self._subscriptions.append(subscription)
            if not self._thread.is_alive():
                self._thread.start()
            self._changed.notify_all()
        return subscription

    def drop(self, subscription: MemorySubscription) -> None:
        """End a subscription: no delivery of it begins or goes on after this."""
        with self._changed:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
        if threading.current_thread() is not self._thread:
            with self._handing_out:  # the one on its way has arrived
                pass

    def ack(self, delivery: Delivery) -> None:
        """Done: the queue forgets the message."""
        with self._changed:
            self._settle(delivery)

    def requeue(self, delivery: Delivery) -> None:
        """Hand it back."""
        with self._changed:
            if hand := self._settle(delivery):
                self._broker.give_back(hand, lost=False)

    def holds(self, delivery: Delivery) -> bool:
        """Whether the delivery is still in our hand."""
        return delivery.tag in self._hands

    def get(self, queue: str) -> Delivery | None:
        """One message; None: nothing is ready."""
        with self._changed:
            found = self._look(queue)
            return self._take(found, None) if found.ready else None

    def count(self, queue: str) -> int:
        """How many messages are ready."""
        with self._changed:
            return len(self._look(queue).ready)

    def delete(self, queue: str) -> None:
        """Delete the queue with what is in it."""
        with self._changed:
            self._check_open()
            self._declared.pop(queue, None)
            self._broker.queues.pop(queue, None)

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002 - the broker is here
        """Nothing is ever on its way."""
        return True

    def check(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002 - it answers at once
        """Return if the bus is open."""
        with self._changed:
            self._check_open()

    def lose_connection(self) -> None:
        """As if the connection were cut: deliveries are void and come back; consuming goes on."""
        with self._changed:
            self._lose()

    def close(self) -> None:
        """Close; what is unsettled goes back to its queue."""
        with self._changed:
            self._closed = True
            self._subscriptions.clear()
            self._lose()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _lose(self) -> None:
        for hand in sorted(self._hands, key=lambda hand: hand.stored.number):
            self._broker.give_back(hand, lost=True)
        self._hands.clear()
        for subscription in self._subscriptions:
            subscription.unsettled = 0
        self._changed.notify_all()

    def _settle(self, delivery: Delivery) -> _Hand | None:
        hand = delivery.tag
        if not isinstance(hand, _Hand) or hand not in self._hands:
            return None
        self._hands.remove(hand)
        if hand.owner:
            hand.owner.unsettled -= 1
        self._changed.notify_all()
        return hand

    def _look(self, name: str) -> _Queue:
        self._check_open()
        self._broker.release_due()
        if name not in self._broker.queues:
            raise NoSuchQueue(f"There is no queue {name!r}.", remedy="Declare it first.")
        return self._broker.queues[name]

    def _take(self, queue: _Queue, owner: MemorySubscription | None) -> Delivery:
        stored = heapq.heappop(queue.ready)
        hand = _Hand(queue, stored, owner)
        self._hands.add(hand)
        if owner:
            owner.unsettled += 1
        return Delivery(queue.spec.name, stored.message, stored.redelivered, stored.losses, hand)

    def _check_open(self) -> None:
        if self._closed:
            raise BusUnreachable("This bus is closed.", remedy="Open a new one.")

    def _run(self) -> None:
        while True:
            with self._handing_out:
                with self._changed:
                    if self._closed:
                        return
                    self._broker.release_due()
                    handed = [self._hand_out(one) for one in self._subscriptions]
                for subscription, delivery in filter(None, handed):
                    try:
                        subscription.on_delivery(delivery)
                    except Exception:  # theirs; the others' deliveries must go on
                        log.exception("A subscriber of %s failed", subscription.queue)
            with self._changed:
                # Looked at anew: who published meanwhile has woken nobody.
                next_s = self._broker.release_due()
                if not self._closed and not any(map(self._can_take, self._subscriptions)):
                    self._changed.wait(next_s)

    def _hand_out(
        self, subscription: MemorySubscription
    ) -> tuple[MemorySubscription, Delivery] | None:
        if not self._can_take(subscription):
            return None
        return subscription, self._take(self._broker.queues[subscription.queue], subscription)

    def _can_take(self, subscription: MemorySubscription) -> bool:
        queue = self._broker.queues.get(subscription.queue)
        return (
            queue is not None
            and bool(queue.ready)
            and (subscription.unsettled < subscription.prefetch)
        )
