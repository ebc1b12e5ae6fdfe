"""Real client libraries through the proxy: what they do works, and no byte is changed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aio_pika
import pika
import pika.exceptions
import pytest
from aio_pika.exceptions import DeliveryError
from kombu.connection import Connection
from pika.adapters.blocking_connection import BlockingChannel

from labs.broker.address import Address
from labs.broker.binaries import Binaries
from labs.broker.connection import connected
from labs.broker.node import PrivateNode
from labs.journal import Journal
from labs.waiting import wait_until
from tests.node import node, node_modules
from tests.proxy.conftest import Tapped, tapping

TIMEOUT_S = 30
LARGE = bytes(range(256)) * 12_000 + b"."
"""More than twenty frames of 128 KiB."""


@pytest.fixture
def channel(tapped: Tapped) -> Iterator[BlockingChannel]:
    """A channel of pika's; when the test is over, the taps are compared."""
    with connected(tapped.address, timeout_s=TIMEOUT_S) as connection:
        yield connection.channel()
    tapped.assert_transparent()


def names(journal: Journal, side: str) -> list[str]:
    return [event.name for event in journal.events if event.side == side]


# pika


def test_pika_confirms_and_returns(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    channel.queue_declare("q", durable=True)
    properties = pika.BasicProperties(message_id="m", headers={"a": [1, "two"]}, delivery_mode=2)

    for n in range(20):
        channel.basic_publish("", "q", f"body {n}".encode(), properties, mandatory=True)
    with pytest.raises(pika.exceptions.UnroutableError) as caught:
        channel.basic_publish("", "nowhere", b"lost", properties, mandatory=True)

    (returned,) = caught.value.messages
    assert (returned.body, returned.properties.headers) == (b"lost", {"a": [1, "two"]})


def test_pika_transactions(channel: BlockingChannel) -> None:
    channel.queue_declare("q")
    channel.tx_select()
    channel.basic_publish("", "q", b"kept")
    channel.tx_commit()
    channel.basic_publish("", "q", b"gone")
    channel.tx_rollback()

    method, _, body = channel.basic_get("q")
    assert (body, channel.basic_get("q")[0]) == (b"kept", None)
    assert method is not None
    channel.basic_ack(method.delivery_tag or 0)
    channel.tx_commit()


@pytest.mark.parametrize("body", [b"", b"x", LARGE], ids=["empty", "short", "many frames"])
def test_pika_bodies_of_any_length(channel: BlockingChannel, body: bytes) -> None:
    channel.queue_declare("q")
    channel.basic_publish("", "q", body)

    for _, _, got in channel.consume("q", auto_ack=True, inactivity_timeout=TIMEOUT_S):
        assert got == body
        break


def test_pika_a_channel_that_the_broker_closes(channel: BlockingChannel) -> None:
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="no queue 'nowhere'"):
        channel.queue_declare("nowhere", passive=True)

    assert channel.connection.channel().queue_declare("q").method.queue == "q"


def test_pika_a_consumer_whose_queue_is_deleted(channel: BlockingChannel) -> None:
    channel.queue_declare("q")
    cancelled: list[object] = []
    channel.add_on_cancel_callback(cancelled.append)
    channel.basic_consume("q", lambda *_: None)

    channel.connection.channel().queue_delete("q")

    def is_cancelled() -> bool:
        channel.connection.process_data_events(0.1)
        return bool(cancelled)

    wait_until(is_cancelled, TIMEOUT_S)


@pytest.mark.slow
def test_pika_as_many_channels_as_there_can_be(tapped: Tapped, journal: Journal) -> None:
    with connected(tapped.address, timeout_s=TIMEOUT_S) as connection:
        channels = [connection.channel() for _ in range(2047)]
        channels[-1].queue_declare("q")
        channels[-1].basic_publish("", "q", b"from the last")
        with pytest.raises(pika.exceptions.NoFreeChannels):
            connection.channel()

    tapped.assert_transparent()
    (publish,) = [event for event in journal.events if event.name == "basic.publish"]
    assert publish.channel == 2047


def test_pika_heartbeats(tapped: Tapped, journal: Journal) -> None:
    parameters = pika.URLParameters(f"{tapped.address.url}?heartbeat=1")
    with closing(pika.BlockingConnection(parameters)) as connection:

        def beats_of_both() -> bool:
            connection.process_data_events(0.1)
            return all(names(journal, side).count("heartbeat") > 2 for side in ("client", "broker"))

        wait_until(beats_of_both, TIMEOUT_S)

    tapped.assert_transparent()


# The others


def test_aio_pika(tapped: Tapped) -> None:
    async def work() -> list[object]:
        seen: list[object] = []
        async with await aio_pika.connect(tapped.address.url, timeout=TIMEOUT_S) as connection:
            channel = await connection.channel(on_return_raises=True)
            queue = await channel.declare_queue("q")
            publishes = (
                channel.default_exchange.publish(aio_pika.Message(f"{n}".encode()), "q")
                for n in range(50)
            )
            await asyncio.gather(*publishes)
            try:
                await channel.default_exchange.publish(aio_pika.Message(b"lost"), "nowhere")
            except DeliveryError as error:
                seen.append(error.message.body if error.message else None)
            async with queue.iterator(timeout=TIMEOUT_S) as messages:
                async for message in messages:
                    await message.ack()
                    seen.append(message.body)
                    if len(seen) == 51:
                        break
            seen.append(await queue.get(fail=False))
            transacting = await connection.channel(publisher_confirms=False)
            async with transacting.transaction():
                await transacting.default_exchange.publish(aio_pika.Message(LARGE), "q")
            large = await queue.get(timeout=TIMEOUT_S)
            assert large is not None
            await large.nack(requeue=False)
            seen.append(len(large.body))
        return seen

    seen = asyncio.run(work())

    assert seen[0] == b"lost"
    assert sorted(seen[1:51], key=str) == sorted((b"%d" % n for n in range(50)), key=str)
    assert seen[51:] == [None, len(LARGE)]
    tapped.assert_transparent()


def test_kombu(tapped: Tapped) -> None:
    seen: list[object] = []
    options = {"confirm_publish": True}
    connect: Any = Connection  # kombu has no types
    with connect(tapped.address.url, transport_options=options) as connection:
        queue = connection.SimpleQueue("q")
        for n in range(20):
            queue.put({"n": n}, expiration=60)
        queue.put("x" * 1_000_000)
        for _ in range(20):
            message = queue.get(timeout=TIMEOUT_S)
            seen.append(message.payload["n"])
            message.ack()
        message = queue.get(timeout=TIMEOUT_S)
        seen.append(len(message.payload))
        message.reject()
        with pytest.raises(queue.Empty):
            queue.get(block=False)
        queue.close()

    assert seen == [*range(20), 1_000_000]
    tapped.assert_transparent()


def test_amqplib_of_node(tapped: Tapped, journal: Journal) -> None:
    modules = node_modules(Path(__file__).parent)

    ran = subprocess.run(
        [node(), str(Path(__file__).with_name("clients.js"))],
        env={**os.environ, "AMQP_URL": tapped.address.url, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "confirms": ["NO_ROUTE", "lost", 1],
        "gets": [*(f"m{n}" for n in range(10)), False],
        "consumes": [40, "m10", "m49", "cancelled"],
        "large": True,
    }
    assert "heartbeat" in names(journal, "client")
    assert "basic.cancel" in names(journal, "broker")
    tapped.assert_transparent()


@pytest.mark.slow
def test_a_connection_that_the_broker_blocks(
    binaries: Binaries, tmp_path: Path, journal: Journal
) -> None:
    broker = PrivateNode(tmp_path / "node", binaries=binaries, management=False)
    try:
        with tapping(broker.start(), journal) as tapped:
            publish_until_blocked(broker, tapped.address)
            tapped.assert_transparent()
    finally:
        broker.wipe()

    assert [name for name in names(journal, "broker") if "blocked" in name] == [
        "connection.blocked",
        "connection.unblocked",
    ]


def publish_until_blocked(broker: PrivateNode, address: Address) -> None:
    heard: list[str] = []
    with connected(address, timeout_s=TIMEOUT_S) as connection:
        connection.add_on_connection_blocked_callback(lambda *_: heard.append("blocked"))
        connection.add_on_connection_unblocked_callback(lambda *_: heard.append("unblocked"))

        def has_heard_more_than(before: int) -> bool:
            connection.process_data_events(0.1)
            return len(heard) > before

        broker.control("set_vm_memory_high_watermark", "absolute", "10MiB")
        connection.channel().basic_publish("", "nowhere", b"one too many")
        wait_until(lambda: has_heard_more_than(0), TIMEOUT_S)
        broker.control("set_vm_memory_high_watermark", "0.4")
        wait_until(lambda: has_heard_more_than(1), TIMEOUT_S)
    assert heard == ["blocked", "unblocked"]
