"""Streams of AMQP as tests need them: built from pamqp's values, none recorded by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from pamqp import base, body, commands, header
from pamqp.frame import marshal

from labs.amqp.frames import Frame, FrameParser

GREETING = b"AMQP\x00\x00\x09\x01"
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"


def said(value: base.Frame, channel: int = 1) -> bytes:
    """The bytes of a method."""
    return marshal(value, channel)


def content(
    text: bytes,
    channel: int = 1,
    *,
    frame_b: int = 131_064,
    properties: commands.Basic.Properties | None = None,
) -> bytes:
    """The bytes of a header and of a body, in frames of so many bytes."""
    pieces = [text[at : at + frame_b] for at in range(0, len(text), frame_b)]
    frames = [marshal(header.ContentHeader(0, len(text), properties), channel)]
    return b"".join(frames + [marshal(body.ContentBody(piece), channel) for piece in pieces])


def publish(
    text: bytes, channel: int = 1, *, queue: str = "q", message_id: str | None = None
) -> bytes:
    """A message on its way to a queue."""
    properties = commands.Basic.Properties(message_id=message_id)
    method = commands.Basic.Publish(exchange="", routing_key=queue)
    return said(method, channel) + content(text, channel, properties=properties)


def deliver(
    text: bytes, tag: int, channel: int = 1, *, consumer: str = "c", message_id: str | None = None
) -> bytes:
    """A message on its way to a consumer."""
    properties = commands.Basic.Properties(message_id=message_id)
    method = commands.Basic.Deliver(consumer, tag, False, "", "q")
    return said(method, channel) + content(text, channel, properties=properties)


def frames_of(data: bytes) -> list[Frame]:
    """The frames of a whole stream."""
    return FrameParser().feed(data)


CLIENT_STREAM = b"".join(
    (
        GREETING,
        said(commands.Connection.StartOk({"product": "test"}, "PLAIN", "\0ann\0secret", "en"), 0),
        said(commands.Connection.TuneOk(2047, 131072, 60), 0),
        said(commands.Connection.Open("/"), 0),
        said(commands.Channel.Open()),
        said(commands.Queue.Declare(queue="q", durable=True, arguments={"x-max-length": 9})),
        said(commands.Confirm.Select()),
        publish(b"", message_id="1"),
        publish("blå".encode()),
        HEARTBEAT,
        said(commands.Basic.Publish(exchange="logs", routing_key="a.b", mandatory=True), 2047),
        content(
            bytes(range(256)) * 3,
            2047,
            frame_b=100,
            properties=commands.Basic.Properties(
                content_type="text/plain",
                headers={
                    "n": 1,
                    "when": datetime(2026, 1, 2, tzinfo=UTC),
                    "list": [1, "two", None],
                },
                delivery_mode=2,
                timestamp=datetime(2026, 1, 2, tzinfo=UTC),
            ),
        ),
        said(commands.Basic.Consume(queue="q", consumer_tag="c", arguments={"d": Decimal("1.5")})),
        said(commands.Basic.Ack(1, True)),
        said(commands.Basic.Reject(2, False)),
        said(commands.Connection.Close(200, "bye", 0, 0), 0),
    )
)
"""What a client may say, of every kind of frame."""

BROKER_STREAM = b"".join(
    (
        said(commands.Connection.Start(0, 9, {"product": "RabbitMQ"}, "PLAIN", "en_US"), 0),
        said(commands.Connection.Tune(2047, 131072, 60), 0),
        said(commands.Connection.OpenOk(), 0),
        said(commands.Channel.OpenOk()),
        said(commands.Queue.DeclareOk("q", 0, 0)),
        said(commands.Confirm.SelectOk()),
        said(commands.Basic.Ack(2, True)),
        said(commands.Basic.Return(312, "NO_ROUTE", "logs", "a.b"), 2047),
        content(b"x" * 300, 2047, frame_b=100),
        said(commands.Basic.ConsumeOk("c")),
        deliver("blå".encode(), 1, message_id="m"),
        deliver(b"", 2),
        HEARTBEAT,
        said(commands.Connection.Blocked("low on memory"), 0),
        said(commands.Connection.CloseOk(), 0),
    )
)
"""What a broker may answer."""
