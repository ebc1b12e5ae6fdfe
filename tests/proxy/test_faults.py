"""Faults between real clients and the real broker: what becomes of messages and programs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import aio_pika
import pika
import pika.exceptions
import pytest
from aio_pika.exceptions import DeliveryError
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from labs.broker.address import Address
from labs.journal import Journal
from labs.proxy.faults import (
    BROKER,
    CLIENT,
    AskHeartbeat,
    ConfirmTogether,
    Cut,
    DropConfirm,
    Fault,
    HoldHeartbeats,
    Lose,
    Moment,
    RefusePublish,
)
from labs.waiting import wait_until
from tests import support
from tests.proxy.conftest import StartProxy, through

TIMEOUT_S = 20
PUBLISH = Moment("basic.publish", CLIENT, nth=2)


@pytest.fixture
def queue(vhost: Address) -> str:
    support.declare(vhost, "q")
    return "q"


class Opened:
    """Connections of pika's through a proxy with faults."""

    def __init__(self, start_proxy: StartProxy, vhost: Address) -> None:
        self._start_proxy = start_proxy
        self._vhost = vhost
        self.address = vhost
        self.connections: list[BlockingConnection] = []

    def __call__(self, *faults: Fault) -> BlockingChannel:
        if self.address is self._vhost:
            port = self._start_proxy(faults=faults).open("A")
            self.address = through(self._vhost, port)
        self.connections.append(BlockingConnection(pika.URLParameters(self.address.url)))
        return self.connections[-1].channel()


@pytest.fixture
def opened(start_proxy: StartProxy, vhost: Address) -> Iterator[Opened]:
    opened = Opened(start_proxy, vhost)
    yield opened
    for connection in opened.connections:
        with suppress(pika.exceptions.AMQPError):
            connection.close()


def bodies_in(address: Address, queue: str) -> list[str]:
    """Take out what is in the queue."""
    with BlockingConnection(pika.URLParameters(address.url)) as connection:
        channel = connection.channel()
        found = iter(lambda: channel.basic_get(queue, auto_ack=True)[2], None)
        return [body.decode() for body in found]


def faults(journal: Journal) -> list[str]:
    return [event.name for event in journal.events if event.kind == "fault"]


@pytest.mark.parametrize(
    ("before", "reached"), [(True, ["a"]), (False, ["a", "b"])], ids=["before", "after"]
)
def test_a_connection_cut_at_a_publish(
    opened: Opened, vhost: Address, queue: str, journal: Journal, before: bool, reached: list[str]
) -> None:
    channel = opened(Cut(PUBLISH, before=before, hold_s=0.2))
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"a")

    with pytest.raises(pika.exceptions.AMQPConnectionError):
        channel.basic_publish("", queue, b"b")

    assert faults(journal) == ["cut"]
    assert bodies_in(vhost, queue) == reached


def test_what_passed_before_a_cut_is_not_lost_on_the_way(
    opened: Opened, vhost: Address, queue: str
) -> None:
    many = 300
    channel = opened(Cut(Moment("basic.publish", CLIENT, nth=many)))

    with suppress(pika.exceptions.AMQPConnectionError):
        for n in range(many):
            channel.basic_publish("", queue, f"{n}".encode() + b"." * 10_000)

    wait_until(lambda: support.count(vhost, queue) == many - 1, TIMEOUT_S)


def test_a_lost_ack_brings_the_message_again(opened: Opened, queue: str, vhost: Address) -> None:
    support.publish(vhost, queue, ["a"])
    channel = opened(Lose(Moment("basic.ack", CLIENT)))
    method, _, _ = channel.basic_get(queue)
    assert method is not None
    channel.basic_ack(method.delivery_tag or 0)
    channel.connection.close()

    method, _, body = opened().basic_get(queue)
    assert method is not None
    assert (body, method.redelivered) == (b"a", True)


def test_a_refused_publish_raises_and_is_not_in_the_queue(
    opened: Opened, vhost: Address, queue: str
) -> None:
    channel = opened(RefusePublish(nth=2))
    channel.confirm_delivery()

    channel.basic_publish("", queue, b"a")
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish("", queue, b"b")
    channel.basic_publish("", queue, b"c")
    with pytest.raises(pika.exceptions.UnroutableError) as unroutable:
        channel.basic_publish("", "nowhere", b"d", mandatory=True)
    channel.basic_publish("", queue, b"e")

    assert [message.body for message in unroutable.value.messages] == [b"d"]
    assert bodies_in(vhost, queue) == ["a", "c", "e"]


def test_many_publishes_in_flight_are_told_apart(
    start_proxy: StartProxy, vhost: Address, queue: str, journal: Journal
) -> None:
    port = start_proxy(
        faults=[RefusePublish(nth=7), DropConfirm(nth=20), ConfirmTogether(n=5, within_s=0.02)]
    ).open("A")

    async def outcome(exchange: aio_pika.abc.AbstractExchange, n: int) -> str:
        try:
            await exchange.publish(aio_pika.Message(f"{n}".encode()), "q", timeout=3)
        except DeliveryError:
            return "refused"
        except TimeoutError:
            return "open"
        return "confirmed"

    async def work() -> list[str]:
        url = through(vhost, port).url
        async with await aio_pika.connect(url, timeout=TIMEOUT_S) as connection:
            channel = await connection.channel()
            exchange = channel.default_exchange
            return list(await asyncio.gather(*(outcome(exchange, n) for n in range(1, 51))))

    outcomes = dict(enumerate(asyncio.run(work()), 1))

    assert [n for n, said in outcomes.items() if said == "refused"] == [7]
    assert [n for n, said in outcomes.items() if said == "open"] == [20]
    assert sorted(map(int, bodies_in(vhost, queue))) == [n for n in range(1, 51) if n != 7]
    assert set(faults(journal)) == {"refuse-publish", "drop-confirm", "confirm-together"}


def test_the_broker_keeps_the_heartbeat_that_the_client_answers(
    opened: Opened, journal: Journal
) -> None:
    channel = opened(AskHeartbeat(1))

    def broker_beats() -> bool:
        channel.connection.process_data_events(0.1)
        return any(e.name == "heartbeat" and e.side == BROKER for e in journal.events)

    wait_until(broker_beats, TIMEOUT_S)
    (answer,) = [event for event in journal.events if event.name == "connection.tune-ok"]
    assert answer.data["heartbeat"] == 1


def test_a_client_whose_heartbeats_do_not_arrive_is_given_up_by_the_broker(
    opened: Opened, journal: Journal
) -> None:
    channel = opened(AskHeartbeat(1), HoldHeartbeats(CLIENT))

    with pytest.raises(pika.exceptions.AMQPConnectionError):
        wait_until(lambda: channel.connection.process_data_events(0.5), TIMEOUT_S)

    (end,) = [event for event in journal.events if event.kind == "disconnected"]
    assert end.data["by"] == BROKER
    assert "hold-heartbeats" in faults(journal)
