"""The bus's contract, held by the bus in memory and by RabbitMQ alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from labs.errors import BadInput
from labs.job_queue.bus import (
    LONGEST_DELAY_S,
    Bus,
    BusUnreachable,
    Delivery,
    Header,
    Message,
    NoSuchQueue,
    NotConfirmed,
    QueueSpec,
    Subscription,
)
from labs.waiting import wait_until
from tests.job_queue.conftest import Ground, MemoryGround

WORK = QueueSpec("work")
SOON_S = 20.0


class Inbox:
    """What a subscriber was given, in order; it settles nothing by itself."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.message.body for delivery in self.deliveries]

    def wait_for(self, n: int) -> list[Delivery]:
        wait_until(lambda: len(self.deliveries) >= n, SOON_S, what=f"{n} deliveries")
        return list(self.deliveries)


def messages(n: int, first: int = 0) -> list[Message]:
    return [Message(str(number).encode()) for number in range(first, first + n)]


def wait_for_count(bus: Bus, queue: str, n: int) -> None:
    wait_until(lambda: bus.count(queue) == n, SOON_S, what=f"{n} messages in {queue}")


def dead_letters_wait(ground: Ground) -> None:
    """RabbitMQ looks every three minutes by default: `test_rabbitmq` has it look more often."""
    bus, inbox = ground.connect(), Inbox()
    bus.declare(QueueSpec("work", dead_letters_to="made-later", max_losses=0))
    bus.publish("work", messages(1))
    bus.consume("work", inbox, prefetch=1)
    inbox.wait_for(1)
    ground.cut()
    wait_until(lambda: not bus.holds(inbox.deliveries[0]), SOON_S)

    bus.declare(QueueSpec("made-later"))

    wait_for_count(bus, "made-later", 1)


def delayed_ones_wait(ground: Ground) -> None:
    """As `dead_letters_wait`."""
    bus = ground.connect()
    bus.declare(WORK)
    bus.publish("work", messages(1), delay_s=0.2)
    bus.delete("work")
    bus.declare(QueueSpec("clock"))
    bus.publish("clock", messages(1), delay_s=0.4)
    wait_for_count(bus, "clock", 1)

    bus.declare(WORK)

    wait_for_count(bus, "work", 1)


@pytest.fixture
def bus(ground: Ground) -> Bus:
    bus = ground.connect()
    bus.declare(WORK)
    return bus


@pytest.mark.parametrize(
    "message",
    [
        Message(b""),
        Message(bytes(range(256)), message_id="an id"),
        Message(b"x" * 300_000, {"text": "ü 1", "number": -3, "large": 2**62, "yes": True}),
        Message(b"odd names", {"": "", "a" * 255: "b" * 10_000}, "é" * 100),
    ],
    ids=["empty", "any bytes", "large, with headers", "odd names"],
)
def test_what_is_published_comes_out_unchanged(bus: Bus, message: Message) -> None:
    bus.publish("work", [message])
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=10)

    (delivery,) = inbox.wait_for(1)

    assert delivery.message == message
    for (
        name,
        value,
    ) in delivery.message.headers.items():  # True == 1
        assert type(value) is type(message.headers[name])
    assert (delivery.queue, delivery.redelivered, delivery.losses) == ("work", False, 0)


def test_a_batch_comes_out_whole_and_in_order(bus: Bus) -> None:
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=5000)

    bus.publish("work", messages(2000))
    bus.publish("work", messages(1, first=2000))

    assert [d.message for d in inbox.wait_for(2001)] == messages(2001)


def test_what_publish_returned_from_is_there_for_another_client(ground: Ground, bus: Bus) -> None:
    bus.publish("work", messages(3))
    bus.close()

    assert ground.connect().count("work") == 3


def test_an_empty_batch_is_no_error(bus: Bus) -> None:
    bus.publish("work", [])

    assert bus.count("work") == 0


def test_many_threads_may_publish_at_once(bus: Bus) -> None:
    threads = [
        threading.Thread(target=bus.publish, args=("work", messages(20, first=20 * number)))
        for number in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    inbox = Inbox()
    bus.consume("work", inbox, prefetch=500)

    assert {d.message.body for d in inbox.wait_for(200)} == {m.body for m in messages(200)}
    assert len(inbox.deliveries) == 200


@pytest.mark.parametrize("delay_s", [0.0, 5.0])
def test_to_a_queue_that_is_not_there_nothing_is_confirmed(bus: Bus, delay_s: float) -> None:
    with pytest.raises(NotConfirmed, match="no queue 'nowhere'"):
        bus.publish("nowhere", messages(3), delay_s=delay_s)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Message("text"), "bytes, not str"),  # type: ignore[arg-type]
        (Message(b"", {"half": 0.5}), "'half' can't be sent"),  # type: ignore[dict-item]
        (Message(b"", {"list": []}), "'list' can't be sent"),  # type: ignore[dict-item]
        (Message(b"", {"large": 2**63}), "'large' is too large"),
        (Message(b"", {"ü" * 128: 1}), "can't be sent"),
        (Message(b"", message_id="é" * 128), "may have 255 bytes"),
    ],
)
def test_of_a_batch_with_a_message_that_cannot_be_sent_none_is(
    bus: Bus, message: Message, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        bus.publish("work", [Message(b"good"), message])

    assert bus.count("work") == 0


@pytest.mark.parametrize("delay_s", [-0.001, LONGEST_DELAY_S + 1, float("nan"), float("inf")])
def test_a_delay_that_cannot_be_is_refused(bus: Bus, delay_s: float) -> None:
    with pytest.raises(BadInput, match="delay"):
        bus.publish("work", messages(1), delay_s=delay_s)


def test_no_more_than_prefetch_are_unsettled_at_a_time(bus: Bus) -> None:
    bus.publish("work", messages(10))
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=3)

    inbox.wait_for(3)
    wait_for_count(bus, "work", 7)
    bus.ack(inbox.deliveries[1])
    inbox.wait_for(4)
    wait_for_count(bus, "work", 6)

    assert inbox.bodies == [b"0", b"1", b"2", b"3"]


def test_what_is_acked_in_any_order_by_any_thread_is_gone(ground: Ground, bus: Bus) -> None:
    bus.publish("work", messages(100))
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=100)
    deliveries = inbox.wait_for(100)
    kept = deliveries[7:100:31]  # 7, 38, 69
    done = [one for one in deliveries if one not in kept]

    def settle_all(part: list[Delivery]) -> None:
        for one in part:
            bus.ack(one)

    threads = [
        threading.Thread(target=settle_all, args=(part,)) for part in (done[::-2], done[-2::-2])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert bus.flush(SOON_S)
    assert [bus.holds(one) for one in kept] == [True] * 3
    assert not any(bus.holds(one) for one in done)
    bus.close()
    other = ground.connect()
    wait_for_count(other, "work", 3)
    left = Inbox()
    other.consume("work", left, prefetch=10)
    assert {d.message.body for d in left.wait_for(3)} == {b"7", b"38", b"69"}


def test_what_is_requeued_comes_again_and_says_so(bus: Bus) -> None:
    bus.publish("work", messages(2))
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=2)
    first, _ = inbox.wait_for(2)

    bus.requeue(first)

    again = inbox.wait_for(3)[2]
    assert again.message == first.message
    assert (first.redelivered, again.redelivered) == (False, True)


def test_settling_twice_is_no_error(bus: Bus) -> None:
    bus.publish("work", messages(4))
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=2)
    first, second = inbox.wait_for(2)

    for settle in (bus.ack, bus.ack, bus.requeue):
        settle(second)
        assert bus.flush(SOON_S)
    bus.ack(first)
    bus.ack(first)

    inbox.wait_for(4)
    assert bus.flush(SOON_S)
    assert inbox.bodies == [b"0", b"1", b"2", b"3"]


def test_a_lost_connection_gives_back_what_was_in_hand_and_consuming_goes_on(
    ground: Ground, bus: Bus
) -> None:
    bus.publish("work", messages(3))
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=2)
    before = inbox.wait_for(2)

    ground.cut()

    after = inbox.wait_for(4)[2:]
    assert [d.message.body for d in after] == [b"0", b"1"]
    assert [(d.redelivered, d.losses) for d in after] == [(True, 1), (True, 1)]
    assert [bus.holds(one) for one in (*before, *after)] == [False, False, True, True]
    for one in before:  # void
        bus.ack(one)
        bus.requeue(one)
    assert bus.flush(SOON_S)
    wait_for_count(bus, "work", 1)
    for one in after:
        bus.ack(one)
    inbox.wait_for(5)
    assert inbox.bodies == [b"0", b"1", b"0", b"1", b"2"]


def test_publishing_goes_on_after_a_lost_connection(ground: Ground, bus: Bus) -> None:
    bus.publish("work", messages(1))
    ground.cut()

    def published() -> bool:
        try:
            bus.publish("work", messages(1))
        except (NotConfirmed, BusUnreachable):
            return False
        return True

    wait_until(published, SOON_S)
    assert bus.count("work") >= 2


def test_a_message_that_is_lost_too_often_goes_to_the_dead_letters(ground: Ground) -> None:
    bus = ground.connect()
    bus.declare(QueueSpec("work.failed"))
    bus.declare(QueueSpec("work", dead_letters_to="work.failed", max_losses=2))
    deadly = Message(b"deadly", {"attempts": 3}, "the id")
    bus.publish("work", [deadly])
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=1)

    for times in (1, 2, 3):
        inbox.wait_for(times)
        ground.cut()

    wait_for_count(bus, "work.failed", 1)
    assert [d.losses for d in inbox.deliveries] == [0, 1, 2]
    found = bus.get("work.failed")
    assert found is not None
    assert found.message == deadly
    assert bus.count("work") == 0


def test_dead_letters_wait_for_a_queue_that_is_made_later(memory: MemoryGround) -> None:
    dead_letters_wait(memory)


def test_a_limit_without_a_place_for_dead_letters_is_refused() -> None:
    with pytest.raises(BadInput, match="would drop"):
        QueueSpec("work", max_losses=20)


def test_a_delayed_message_comes_never_sooner(bus: Bus) -> None:
    came: list[tuple[bytes, float]] = []

    def take(delivery: Delivery) -> None:
        came.append((delivery.message.body, time.monotonic()))
        bus.ack(delivery)

    bus.consume("work", take, prefetch=10)
    began: dict[bytes, float] = {}
    delays = {b"1.204": 1.204, b"0.3": 0.3, b"0.001": 0.001, b"0": 0.0, b"0.9": 0.9}
    for body, delay_s in delays.items():
        began[body] = time.monotonic()
        bus.publish("work", [Message(body, {"kept": True}, "id")], delay_s=delay_s)

    wait_until(lambda: len(came) == len(delays), SOON_S)
    for body, when_s in came:
        assert when_s - began[body] >= delays[body], body


def test_a_delayed_message_is_unchanged_and_not_counted_before(bus: Bus) -> None:
    message = Message(b"later", {"attempts": 1}, "id")
    bus.publish("work", [message], delay_s=0.5)
    assert bus.count("work") == 0
    assert bus.get("work") is None

    wait_for_count(bus, "work", 1)

    found = bus.get("work")
    assert found is not None
    assert found.message == message
    assert (found.redelivered, found.losses) == (False, 0)


def test_a_delayed_message_waits_for_a_queue_that_is_gone_by_then(memory: MemoryGround) -> None:
    delayed_ones_wait(memory)


def test_replicas_share_a_queue_and_inherit_from_one_that_is_gone(ground: Ground, bus: Bus) -> None:
    other = ground.connect()
    mine, theirs = Inbox(), Inbox()
    bus.consume("work", mine, prefetch=2)
    other.consume("work", theirs, prefetch=2)
    bus.publish("work", messages(4))
    mine.wait_for(2)
    theirs.wait_for(2)

    other.close()
    for one in mine.wait_for(2):
        bus.ack(one)

    again = mine.wait_for(4)[2:]
    assert {d.message.body for d in again} == set(theirs.bodies)
    assert all(d.redelivered for d in again)


def test_after_cancel_nothing_comes_and_what_is_in_hand_can_be_settled(bus: Bus) -> None:
    inbox = Inbox()
    subscription = bus.consume("work", inbox, prefetch=2)
    bus.publish("work", messages(5))
    inbox.wait_for(2)

    subscription.cancel()
    subscription.cancel()
    first, second = inbox.deliveries
    assert bus.holds(first)
    bus.ack(first)
    bus.requeue(second)

    wait_for_count(bus, "work", 4)
    assert len(inbox.deliveries) == 2


def test_cancelling_from_within_a_delivery_hangs_nobody(bus: Bus) -> None:
    came: list[Delivery] = []
    subscriptions: list[Subscription] = []

    def take(delivery: Delivery) -> None:
        came.append(delivery)
        subscriptions[0].cancel()
        bus.ack(delivery)

    subscriptions.append(bus.consume("work", take, prefetch=1))
    bus.publish("work", messages(3))

    wait_for_count(bus, "work", 2)
    assert len(came) == 1


def test_a_subscriber_that_fails_stops_nobody_else(bus: Bus) -> None:
    bus.declare(QueueSpec("other"))
    inbox = Inbox()

    def fail(_: Delivery) -> None:
        raise RuntimeError("a subscriber's own fault")

    bus.consume("work", fail, prefetch=1)
    bus.consume("other", inbox, prefetch=10)
    bus.publish("work", messages(1))
    bus.publish("other", messages(2))

    inbox.wait_for(2)
    assert [d.losses for d in inbox.deliveries] == [0, 0]


def test_single_messages_can_be_taken(bus: Bus) -> None:
    bus.publish("work", messages(3))

    first, second, third, none = (bus.get("work") for _ in range(4))
    assert first
    assert second
    assert third
    assert none is None
    bus.ack(second)
    bus.requeue(third)
    bus.requeue(first)

    wait_for_count(bus, "work", 2)
    again = bus.get("work")
    assert again is not None
    assert again.redelivered


@pytest.mark.parametrize("ask", [lambda bus: bus.count("nowhere"), lambda bus: bus.get("nowhere")])
def test_a_queue_that_is_not_there_has_no_count_and_no_message(
    bus: Bus, ask: Callable[[Bus], object]
) -> None:
    with pytest.raises(NoSuchQueue, match="nowhere"):
        ask(bus)

    assert bus.count("work") == 0


def test_a_queue_may_be_declared_again_as_it_is_and_not_otherwise(bus: Bus) -> None:
    bus.publish("work", messages(1))
    bus.declare(WORK)

    with pytest.raises(BadInput, match="work"):
        bus.declare(QueueSpec("work", dead_letters_to="failed", max_losses=3))

    assert bus.count("work") == 1


def test_deleting_a_queue_that_is_not_there_is_no_error(bus: Bus) -> None:
    bus.delete("nowhere")
    bus.delete("work")

    with pytest.raises(NoSuchQueue):
        bus.count("work")
    with pytest.raises(NotConfirmed):
        bus.publish("work", messages(1))


@pytest.mark.parametrize("delay_s", [0.0, 0.1])
def test_a_declared_queue_that_somebody_deleted_is_made_anew_by_publishing(
    ground: Ground, bus: Bus, delay_s: float
) -> None:
    bus.publish("work", messages(1), delay_s=delay_s)
    wait_for_count(bus, "work", 1)
    ground.connect().delete("work")

    bus.publish("work", messages(1), delay_s=delay_s)
    if delay_s:  # it is known to be gone when it is next needed
        bus.declare(WORK)

    wait_for_count(bus, "work", 1)


def test_consuming_goes_on_when_somebody_deleted_the_queue(ground: Ground, bus: Bus) -> None:
    inbox = Inbox()
    bus.consume("work", inbox, prefetch=10)
    bus.publish("work", messages(1))
    inbox.wait_for(1)
    ground.connect().delete("work")

    bus.publish("work", messages(1, first=1))

    assert inbox.wait_for(2)[1].message.body == b"1"


def test_one_may_consume_before_the_queue_is_there(ground: Ground) -> None:
    bus, inbox = ground.connect(), Inbox()
    bus.consume("made-later", inbox, prefetch=10)
    other = ground.connect()
    other.declare(QueueSpec("made-later"))

    other.publish("made-later", messages(1))

    inbox.wait_for(1)


def test_a_closed_bus_says_so_and_leaves_no_thread(ground: Ground) -> None:
    before = set(threading.enumerate())
    bus = ground.connect()
    bus.declare(WORK)
    bus.publish("work", messages(1))
    bus.consume("work", Inbox(), prefetch=1)
    bus.check()
    headers: dict[str, Header] = {}

    bus.close()
    bus.close()

    assert set(threading.enumerate()) <= before
    for use in (
        bus.check,
        lambda: bus.publish("work", [Message(b"", headers)]),
        lambda: bus.count("work"),
        lambda: bus.declare(WORK),
    ):
        with pytest.raises(BusUnreachable, match="closed"):
            use()
