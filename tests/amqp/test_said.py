"""What a frame says: the specification's names, values that JSON knows, and no password."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import base, commands
from pamqp.common import Struct

from labs.amqp import methods
from labs.amqp.frames import BODY, HEADER, METHOD, ODD, Frame
from labs.amqp.said import HIDDEN, SHORT_B, Said, say
from tests.amqp import streams


def only(data: bytes, **options: bool) -> Said:
    (frame,) = streams.frames_of(data)
    return say(frame, **options)


def as_frame(kind: int, payload: bytes) -> Frame:
    start = bytes([kind]) + b"\0\1" + Struct.integer.pack(len(payload))
    return Frame(kind, 1, start + payload + b"\xce")


@pytest.mark.parametrize(
    ("value", "name", "data"),
    [
        (
            commands.Basic.Deliver("c", 7, True, "x", "k"),
            "basic.deliver",
            {
                "consumer_tag": "c",
                "delivery_tag": 7,
                "redelivered": True,
                "exchange": "x",
                "routing_key": "k",
            },
        ),
        (
            commands.Basic.Nack(3, True, False),
            "basic.nack",
            {"delivery_tag": 3, "multiple": True, "requeue": False},
        ),
        (
            commands.Basic.Consume(queue="q", consumer_tag="c", no_ack=True),
            "basic.consume",
            {
                "queue": "q",
                "consumer_tag": "c",
                "no_local": False,
                "no_ack": True,
                "exclusive": False,
                "no_wait": False,
                "arguments": {},
            },
        ),
        (
            commands.Basic.Qos(0, 1, True),
            "basic.qos",
            {"prefetch_size": 0, "prefetch_count": 1, "global": True},
        ),
        (
            commands.Connection.TuneOk(1, 2, 3),
            "connection.tune-ok",
            {"channel_max": 1, "frame_max": 2, "heartbeat": 3},
        ),
        (commands.Tx.Commit(), "tx.commit", {}),
    ],
)
def test_a_method_is_named_as_the_specification_names_it(
    value: base.Frame, name: str, data: dict[str, Any]
) -> None:
    assert only(streams.said(value)) == Said(name, data)


def test_a_header_says_the_size_and_the_properties_that_were_given() -> None:
    properties = commands.Basic.Properties(
        message_id="m-1",
        delivery_mode=2,
        message_type="greeting",
        timestamp=datetime(2026, 1, 2, tzinfo=UTC),
        headers={"x-death": [{"count": 1, "queue": "q"}]},
    )

    header = streams.frames_of(streams.content(b"hello", properties=properties))[0]

    assert say(header) == Said(
        "header",
        {
            "body_size": 5,
            "properties": {
                "message_id": "m-1",
                "delivery_mode": 2,
                "type": "greeting",
                "timestamp": "2026-01-02T00:00:00+00:00",
                "headers": {"x-death": [{"count": 1, "queue": "q"}]},
            },
        },
    )


@pytest.mark.parametrize(
    ("body", "data"),
    [
        ("blå".encode(), {"size": 4, "text": "blå"}),
        (b"\xff\xfe", {"size": 2}),
        (b"x" * SHORT_B, {"size": SHORT_B, "text": "x" * SHORT_B}),
        (b"x" * (SHORT_B + 1), {"size": SHORT_B + 1}),
    ],
)
def test_a_body_says_its_size_and_short_text(body: bytes, data: dict[str, Any]) -> None:
    assert say(as_frame(BODY, body)) == Said("body", data)


def test_a_body_says_no_text_where_none_is_wanted() -> None:
    assert say(as_frame(BODY, b"hello"), bodies=False) == Said("body", {"size": 5})


@pytest.mark.parametrize(
    "value",
    [
        commands.Connection.StartOk({}, "PLAIN", "\0ann\0hunter2", "en_US"),
        commands.Connection.StartOk({}, "AMQPLAIN", "LOGINann PASSWORDhunter2", "en_US"),
        commands.Connection.SecureOk("hunter2"),
        commands.Connection.UpdateSecret("hunter2", "a new one"),
    ],
)
def test_what_a_client_proves_itself_with_is_never_said(value: base.Frame) -> None:
    said = only(streams.said(value, 0))

    assert "hunter2" not in repr(said)
    assert HIDDEN in said.data.values()


def test_all_that_streams_hold_can_be_written_as_json() -> None:
    for frame in streams.frames_of(streams.CLIENT_STREAM + streams.BROKER_STREAM):
        said = say(frame)
        assert said.name != "unknown"
        assert json.loads(json.dumps(said.data)) == said.data


def test_an_unknown_method_is_said_to_be_one() -> None:
    said = say(as_frame(METHOD, b"\x00\x3c\x00\xc8"))

    assert (said.name, said.data["size"]) == ("unknown", 4)


@given(kind=st.sampled_from([METHOD, HEADER, BODY, ODD]), payload=st.binary(max_size=80))
def test_nothing_that_a_peer_sends_stops_the_reading(kind: int, payload: bytes) -> None:
    frame = Frame(kind, 1, b"\1\0\1\0\0\0\0" + payload + b"\xce")

    json.dumps(say(frame).data)


@given(at=st.integers(0, len(streams.CLIENT_STREAM) - 1), bits=st.integers(1, 255), data=st.data())
def test_a_frame_with_a_wrong_byte_is_read_or_unknown(
    at: int, bits: int, data: st.DataObject
) -> None:
    frame = data.draw(st.sampled_from(streams.frames_of(streams.CLIENT_STREAM)))
    wrong = bytearray(frame.raw)
    wrong[at % len(wrong)] ^= bits

    json.dumps(say(frame._replace(raw=bytes(wrong))).data)


@pytest.mark.parametrize(
    ("made", "value", "channel"),
    [
        (methods.ack(5, 3, multiple=True), commands.Basic.Ack(3, True), 5),
        (
            methods.nack(5, 3, multiple=False, requeue=True),
            commands.Basic.Nack(3, False, True),
            5,
        ),
        (
            methods.tune(channel_max=1, frame_max=2, heartbeat=3),
            commands.Connection.Tune(1, 2, 3),
            0,
        ),
    ],
)
def test_a_method_is_made_as_a_peer_makes_it(made: Frame, value: base.Frame, channel: int) -> None:
    assert made == Frame(METHOD, channel, streams.said(value, channel))
