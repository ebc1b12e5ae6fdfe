"""Answers: a message that names a reply_to gets one there, before it is acknowledged."""

from __future__ import annotations

import pika
import pytest

from labs.broker import connection
from labs.broker.address import Address
from tests.qprocessor.running import Qprocessor
from tests.support import count, declare, wait_until


def ask(address: Address, queue: str, *questions: str) -> None:
    """Publish messages that want an answer in the queue `answers`."""
    declare(address, "answers")
    with connection.connected(address) as broker:
        for question in questions:
            properties = pika.BasicProperties(
                reply_to="answers", correlation_id=f"id of {question}"
            )
            broker.channel().basic_publish("", queue, question.encode(), properties)


def answers(address: Address) -> list[tuple[str | None, bytes, int | None]]:
    """The answers that are there, taken out."""
    found: list[tuple[str | None, bytes, int | None]] = []
    with connection.connected(address) as broker:
        channel = broker.channel()
        while True:
            method, properties, body = channel.basic_get("answers", auto_ack=True)
            if method is None or properties is None:
                return found
            found.append((properties.correlation_id, body or b"", properties.delivery_mode))


@pytest.mark.parametrize("delay", ["0", "0.001"])
@pytest.mark.parametrize("flags", [["--acknowledge", "--prefetch", "1"], ["--acknowledge"], []])
def test_a_message_that_asks_for_an_answer_gets_one(
    qprocessor: Qprocessor, vhost: Address, flags: list[str], delay: str
) -> None:
    declare(vhost, "hello")
    ask(vhost, "hello", "one", "two", "three")
    worker = qprocessor.consuming("--delay", delay, *flags)
    wait_until(lambda: count(vhost, "answers") == 3, 30)
    assert sorted(answers(vhost)) == sorted(
        (f"id of {question}", b'"done"', 2) for question in ("one", "two", "three")
    )
    assert worker.stop() == 0
    assert count(vhost, "hello") == 0


def test_what_is_not_done_gets_no_answer(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "hello")
    ask(vhost, "hello", "one", "two")
    worker = qprocessor.consuming("--delay", "0", "--acknowledge", "--lose-every", "2")
    wait_until(lambda: count(vhost, "answers") == 1, 30)
    worker.wait_until_says("Lost two")
    assert [correlation_id for correlation_id, _, _ in answers(vhost)] == ["id of one"]
    worker.stop()
    assert count(vhost, "hello") == 1


def test_an_answer_that_nobody_waits_for_any_more_is_no_failure(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "hello")
    ask(vhost, "hello", "one")
    with connection.connected(vhost) as broker:
        broker.channel().queue_delete("answers")
    worker = qprocessor.consuming("--delay", "0", "--acknowledge", "--max-messages", "1")
    assert worker.wait() == 0
    assert count(vhost, "hello") == 0
