"""The wire of a notebook: cells and workers talk over it, it is on record, and it ends."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pika
import pytest

from labs.broker.address import Address
from labs.errors import BadInput, LabError
from labs.notebook import Lab


def talk(url: str, queue: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        channel.basic_publish("", queue, b"Hello World!")
        channel.basic_get(queue, auto_ack=True)


def test_what_a_cell_says_to_the_broker_is_drawn(lab: Lab) -> None:
    with lab.wire() as wire:
        talk(wire.url, lab.fresh("hello"))
    words = str(lab.sequence(wire))
    for said in ("notebook", "connect", "publish Hello World!", "get Hello World! (auto-ack)"):
        assert said in words


def test_workers_are_drawn_by_their_names_and_a_kill_comes_before_what_follows_from_it(
    lab: Lab,
) -> None:
    queue = lab.fresh("work")
    options: dict[str, Any] = {"queue": queue, "durable": True, "acknowledge": True}
    with lab.wire() as wire:
        with lab.workers("alice", delay=60, wire=wire, **options) as first:
            talk_only = pika.URLParameters(wire.url)
            with closing(pika.BlockingConnection(talk_only)) as connection:
                connection.channel().basic_publish("", queue, b"x")
            first["alice"].wait_until_received(1)
            first["alice"].kill()
        with lab.workers("bob", delay=0, wire=wire, **options) as second:
            second.wait_until_acknowledged(1)
    words = lab.sequence(wire, message="x").text
    assert "alice" in words.splitlines()[1]
    order = [words.index(w) for w in ("deliver x", "killed", "connection lost", "deliver x again")]
    assert order == sorted(order)


def test_a_freeze_and_a_thaw_are_on_record(lab: Lab) -> None:
    with lab.wire() as wire, lab.workers("alice", queue=lab.fresh("work"), wire=wire) as workers:
        workers["alice"].freeze()
        workers["alice"].thaw()
    signals = [(e.name, e.copy) for e in wire.journal.events if e.kind == "signal"]
    assert signals == [("freeze", "alice"), ("thaw", "alice")]


def test_no_password_is_on_record(lab: Lab, vhost: Address) -> None:
    with lab.wire() as wire:
        talk(wire.url, lab.fresh("hello"))
        assert f":{vhost.password}@" not in repr(wire)
    lines = "\n".join(event.to_json() for event in wire.journal.events)
    # In this test the user, the vhost and the password are one word: it stands for the first two.
    assert f'"response":"{vhost.password}' not in lines
    assert f":{vhost.password}@" not in lines
    assert f"\\u0000{vhost.password}" not in lines


def test_a_closed_wire_says_so_and_clean_up_closes_what_is_open(lab: Lab) -> None:
    wire = lab.wire()
    url = wire.url
    lab.clean_up()
    wire.stop()  # a second time: nothing happens
    with pytest.raises(BadInput, match="closed") as caught:
        assert wire.url
    assert isinstance(caught.value, LabError)
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        talk(url, "hello")
