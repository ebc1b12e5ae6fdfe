"""The few methods that are made here and not by a peer: their frames."""

from __future__ import annotations

from pamqp import base, commands
from pamqp.frame import marshal

from labs.amqp.frames import METHOD, Frame


def ack(channel: int, delivery_tag: int, *, multiple: bool) -> Frame:
    """`basic.ack`: this one, or with `multiple` all up to it."""
    return _frame(commands.Basic.Ack(delivery_tag, multiple), channel)


def nack(channel: int, delivery_tag: int, *, multiple: bool, requeue: bool) -> Frame:
    """`basic.nack`: this one, or with `multiple` all up to it."""
    return _frame(commands.Basic.Nack(delivery_tag, multiple, requeue), channel)


def tune(*, channel_max: int, frame_max: int, heartbeat: int) -> Frame:
    """`connection.tune`: what a broker asks for; `frame_max` in bytes, `heartbeat` in seconds."""
    return _frame(commands.Connection.Tune(channel_max, frame_max, heartbeat), 0)


def _frame(method: base.Frame, channel: int) -> Frame:
    return Frame(METHOD, channel, marshal(method, channel))
