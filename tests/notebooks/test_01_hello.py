"""Hello: a message waits, is taken, vanishes; a queue is claimed and not changed."""

from __future__ import annotations

import pytest

from tests.notebooks.desk import Desk, Run, assert_clean

NAME = "01-hello"


def test_a_message_waits_for_a_consumer_and_is_taken_once(at_home: Desk) -> None:
    at_home.run_half_and_kill(NAME)
    with at_home.run(NAME) as run:
        assert "waiting in 'hello': 1" in run.words("publish")
        assert run.value("[first[2].decode(), second]") == ["Hello World!", [None, None, None]]
        names = ["Ada", "Grace", "Linus", "Margaret", "Zoë"]
        assert run.value("received") == [f"Hello {name}!" for name in names]
        assert "at most 5" in run.pictures("picture-consume")[0]
        assert_its_points(run)
        assert_clean(run, at_home)


def test_in_class_it_makes_the_same_points(in_class: Desk) -> None:
    with in_class.run(NAME) as run:
        assert len(run.value("received")) == 5
        assert_its_points(run)
        assert_clean(run, in_class)


def test_a_server_that_refuses_transient_queues_is_met_by_durable_ones(in_class: Desk) -> None:
    """As RabbitMQ 4.3.0 to 4.3.4 do, and each newer one that is told to; played here by pika."""
    with in_class.open(NAME) as run:
        run.until("declare")
        run.execute(REFUSE_TRANSIENT_QUEUES)
        run.all()
        assert "refuses transient queues" in run.words("declare")
        assert run.value("durable") is True
        assert_its_points(run)
        assert_clean(run, in_class)


REFUSE_TRANSIENT_QUEUES = """
from pika.adapters.blocking_connection import BlockingChannel
declare_for_real = BlockingChannel.queue_declare

def queue_declare(self, queue, passive=False, durable=False, **rest):
    if not (passive or durable):
        said = "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated."
        self.connection.close()
        raise pika.exceptions.ConnectionClosedByBroker(541, said)
    return declare_for_real(self, queue, passive=passive, durable=durable, **rest)

BlockingChannel.queue_declare = queue_declare
"""


def assert_its_points(run: Run) -> None:
    """A wrong routing key is dropped in silence; a queue can't be changed; delete is for good."""
    assert run.value("answers") == 3
    wire = run.pictures("wire")[0]
    assert "notebook to hello: publish Hello again!" in wire
    assert "hello to notebook: get: empty" in wire
    assert run.value("what_happened") == "nothing"
    confirms = run.pictures("picture-confirms")[0]
    counts = [confirms.count(f"notebook: {word} ?") for word in ("return", "confirm")]
    assert [confirms.count("publish ? (key helo: no queue)"), *counts] == [4, 2, 2]
    told = run.value("[[c, m, o] for (c, m), o in outcomes.items() if o != 'no error']")
    assert [row[:2] for row in told] == [[True, True]], "only both together tell"
    assert "UnroutableError" in told[0][2]
    assert run.value("[unchanged, channel_open, connection_open]") == [True, False, True]
    assert "406 PRECONDITION_FAILED" in run.words("redeclare")
    assert run.value("deleted") == 1
    assert "404 NOT_FOUND" in run.words("delete")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('channel.basic_publish("", "hello", {"name": "Ada"})', "json.dumps"),
        ('channel.basic_consume("nowhere", print)', "no queue 'nowhere'"),
        (
            'channel.basic_publish("nosuch", "x", "y")\n    channel.queue_declare("hello")',
            "no exchange 'nosuch'",
        ),
    ],
)
def test_what_try_it_yourself_asks_for_ends_in_words(in_class: Desk, code: str, said: str) -> None:
    connect = "with pika.BlockingConnection(pika.URLParameters(lab.url)) as connection:\n"
    attempt = f"{connect}    channel = connection.channel()\n    {code}"
    with in_class.open(NAME) as run:
        run.until("consume")
        words = run.failing(attempt)
        assert said in words
        assert "What to do" in words
