"""What a frame says, in words: its name, and its arguments as values that JSON knows.

Names are the specification's, in lower case (`basic.deliver`, `connection.tune-ok`),
its arguments' with underscores (`delivery_tag`); fields that the specification only
reserves are left out. A body says its size, and its text where it is short. What a
peer proves itself with is never said. Reading never fails: a frame that cannot be
read is `unknown`, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, cast

from pamqp import base, commands, header
from pamqp.common import Struct

from labs.amqp.frames import BODY, HEADER, HEARTBEAT, METHOD, ODD, PROTOCOL_HEADER, Frame

UNKNOWN = "unknown"
HIDDEN = "…"
SHORT_B = 400
"""A body's text is said up to this length of its frame's payload."""

_SECRETS = {"response", "challenge", "new_secret"}
_RESERVED = {
    "ticket",
    "out_of_band",
    "capabilities",
    "insist",
    "known_hosts",
    "channel_id",
    "cluster_id",
}
_SPELT = {"exchange_type": "type", "message_type": "type", "global_": "global", "nowait": "no_wait"}
_REMEMBERED_B = 200
"""Longer ones are read anew each time."""
_METHODS = cast("Mapping[int, type[base.Frame]]", commands.INDEX_MAPPING)
_BASIC = b"\x00\x3c\x00"
_DELIVER, _GET_OK, _ACK, _REJECT, _NACK = (bytes([number]) for number in (60, 71, 80, 90, 120))
_TAG_AT = dict.fromkeys((_DELIVER, _GET_OK, _ACK, _REJECT, _NACK), 4)
"""Where in the payload the delivery tag is, by the method's number in `basic`; in a delivery it
comes after the consumer tag."""
_NO_TAG = bytes(8)


class Said(NamedTuple):
    """A frame's name and its arguments. The mapping may be shared: it is not to be changed."""

    name: str
    data: Mapping[str, Any]


def say(frame: Frame, *, bodies: bool = True) -> Said:
    """What the frame says; `bodies`: with the text of short ones."""
    kind, raw = frame.kind, frame.raw
    if kind == METHOD:
        payload = raw[7:-1]
        # A program says the same over and over; secrets are in no `basic` method.
        if len(payload) > _REMEMBERED_B or not payload.startswith(_BASIC):
            return _method(payload)
        at = _TAG_AT.get(payload[3:4])
        return _remembered_method(payload) if at is None else _tagged_method(payload, at)
    if kind == HEADER:
        payload = raw[7:-1]
        return _remembered_header(payload) if len(payload) <= _REMEMBERED_B else _header(payload)
    if kind == BODY:
        return _body(raw[7:-1], bodies)
    if kind == HEARTBEAT:
        return _HEARTBEAT
    if kind == PROTOCOL_HEADER:
        return Said("protocol-header", {"version": "-".join(str(n) for n in raw[5:8])})
    assert kind == ODD
    return Said(UNKNOWN, {"size": len(raw)})


_HEARTBEAT = Said("heartbeat", {})


def _method(payload: bytes) -> Said:
    try:
        kind = _METHODS[Struct.integer.unpack_from(payload)[0]]
        value = kind()
        value.unmarshal(payload[4:])
    except Exception as error:  # noqa: BLE001 - a peer may send anything, and reading must not fail
        return Said(UNKNOWN, {"size": len(payload), "why": _why(error)})
    return Said(_NAMES[value.index], _plain_fields(value))


def _tagged_method(payload: bytes, at: int) -> Said:
    """A method that differs from the one before in its delivery tag alone."""
    if payload[3:4] == _DELIVER:
        at += int.from_bytes(payload[4:5], "big") + 1
    tag = payload[at : at + 8]
    name, data = _remembered_method(payload[:at] + _NO_TAG[: len(tag)] + payload[at + 8 :])
    if "delivery_tag" not in data:
        return _method(payload)
    return Said(name, {**data, "delivery_tag": int.from_bytes(tag, "big", signed=True)})


def _header(payload: bytes) -> Said:
    value = header.ContentHeader()
    try:
        value.unmarshal(payload)
    except Exception as error:  # noqa: BLE001 - as above
        return Said(UNKNOWN, {"size": len(payload), "why": _why(error)})
    given = {k: v for k, v in _plain_fields(value.properties).items() if v is not None}
    return Said("header", {"body_size": value.body_size, "properties": given})


_remembered_method = lru_cache(maxsize=2048)(_method)
_remembered_header = lru_cache(maxsize=2048)(_header)


def _body(payload: bytes, with_text: bool) -> Said:
    if with_text and len(payload) <= SHORT_B:
        try:
            return Said("body", {"size": len(payload), "text": payload.decode()})
        except UnicodeDecodeError:
            pass
    return Said("body", {"size": len(payload)})


def _plain_fields(value: Any) -> dict[str, Any]:
    return {
        _SPELT.get(name, name): HIDDEN if name in _SECRETS else _plain(getattr(value, name))
        for name in value.__slots__
        if name not in _RESERVED
    }


def _plain(value: Any) -> Any:
    """The value as JSON knows it."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _name(spelt: str) -> str:
    """`Connection.TuneOk` as the specification writes it: `connection.tune-ok`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", spelt).lower()


_NAMES = {index: _name(kind.name) for index, kind in _METHODS.items()}
