"""What `labs proxy` shows of a conversation, line by line."""

from __future__ import annotations

from pamqp import commands

from labs.journal import Event
from labs.proxy.words import Words
from tests.amqp import streams
from tests.proxy.talk import Talk


def shown(talk: Talk) -> list[str]:
    """The lines, without the times."""
    words = Words()
    lines = [words.of(event) for event in talk.journal.events]
    return [line.split(" s  ")[1] for line in lines if line]


def test_a_message_is_one_line_with_its_method() -> None:
    talk = Talk()
    talk.client(streams.publish(b"hello\n", message_id="m"), channel=1)
    talk.broker(streams.deliver(b"x" * 500, 7), streams.deliver(b"", 8))

    assert shown(talk) == [
        r"1.1    → basic.publish routing_key=q: 'hello\n' message_id=m",
        "1.1    ← basic.deliver consumer_tag=c delivery_tag=7 routing_key=q: 500 bytes",
        "1.1    ← basic.deliver consumer_tag=c delivery_tag=8 routing_key=q: 0 bytes",
    ]


def test_messages_on_two_channels_are_kept_apart() -> None:
    talk = Talk()
    one, two = (
        streams.frames_of(streams.publish(body, number)) for number, body in ((1, b"a"), (2, b"b"))
    )
    for pair in zip(one, two, strict=True):
        talk.client(*(frame.raw for frame in pair))

    assert [line.split(": ")[1] for line in shown(talk)] == ["'a'", "'b'"]


def test_heartbeats_and_what_is_no_event_of_the_wire_are_left_out() -> None:
    talk = Talk()
    talk.client(streams.HEARTBEAT)
    talk.journal.append("note", "listening")

    assert shown(talk) == []


def test_long_and_unprintable_values_are_cut_short() -> None:
    talk = Talk()
    talk.client(
        commands.Queue.Declare(queue="q" * 100), commands.Channel.Close(200, "a\x1b[2Jb", 0, 0)
    )

    assert shown(talk) == [
        f"1.1    → queue.declare queue={'q' * 59}…",
        "1.1    → channel.close reply_code=200 reply_text=a·[2Jb",
    ]


def test_comings_and_goings_are_told() -> None:
    words = Words()
    data: list[tuple[str, dict[str, object]]] = [
        ("connected", {"client_port": 4711, "broker_name": ""}),
        ("disconnected", {"by": "client", "how": "closed"}),
        ("disconnected", {"by": "broker", "how": "reset"}),
        ("disconnected", {"by": "broker", "how": "unreachable", "why": "refused"}),
        ("disconnected", {"by": "proxy", "how": "closed"}),
    ]

    lines = [words.of(Event(0, 0.0, kind, connection=1, data=more)) for kind, more in data]

    assert [line and line.split("  1      ")[1] for line in lines] == [
        "connects from port 4711",
        "is closed by the client",
        "is broken off by the broker",
        "could not be taken on: the broker cannot be reached (refused)",
        "is ended, with the proxy",
    ]
