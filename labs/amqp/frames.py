"""A stream of bytes cut into frames, however it arrives.

Bytes come in as the network delivers them; frames come out once they are whole,
each with its own bytes untouched, so that all frames' bytes joined are the stream.
A stream may begin with a protocol header. From the first thing that is no frame on,
whatever comes is passed on at once as frames of the kind `ODD`: it is not ours to
judge, and the peer will.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
"""The kinds of frames of the specification: the frame's first byte."""
PROTOCOL_HEADER, ODD = 0, -1
"""Two kinds of our own: the greeting of eight bytes, and what is no frame."""

LONGEST_B = 16 * 1024 * 1024
"""What claims to be longer is no frame: peers agree on 128 KiB, as a rule."""

_START = struct.Struct(">BHI")
_END = 0xCE
_GREETING, _GREETING_B = b"AMQP", 8


class Frame(NamedTuple):
    """One frame: its kind, its channel, and all its bytes."""

    kind: int
    channel: int
    raw: bytes

    @property
    def payload(self) -> bytes:
        """What is between the frame's seven first bytes and its last one."""
        return self.raw[7:-1]


def body_size(header: Frame) -> int:
    """How long the body is that follows this content header, in bytes."""
    return int.from_bytes(header.raw[11:19], "big")


class FrameParser:
    """Cuts one direction of a connection into frames."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._have = 0
        self._need = 1
        self._is_first = True
        self._is_odd = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete; what is left over waits for the next ones."""
        if self._is_odd:
            return [Frame(ODD, 0, data)] if data else []
        self._chunks.append(data)
        self._have += len(data)
        if self._have < self._need:
            return []
        buffer = b"".join(self._chunks) if len(self._chunks) > 1 else data
        frames, at = self._cut(buffer)
        rest = buffer[at:] if at else buffer
        self._chunks, self._have = [rest], len(rest)
        if self._is_odd:
            frames += self.end()
        return frames

    def end(self) -> list[Frame]:
        """What is left when the stream is over: the beginning of a frame, if anything."""
        rest = b"".join(self._chunks)
        self._chunks, self._have = [], 0
        return [Frame(ODD, 0, rest)] if rest else []

    def _cut(self, buffer: bytes) -> tuple[list[Frame], int]:
        """The whole frames in the buffer, and where they end."""
        frames: list[Frame] = []
        at, end = 0, len(buffer)
        if self._is_first and end:
            self._is_first = False
            if buffer[0] == _GREETING[0]:
                self._is_first = True
                if not _GREETING.startswith(buffer[:4]):
                    self._is_odd = True
                    return frames, at
                if end < _GREETING_B:
                    self._need = _GREETING_B
                    return frames, at
                self._is_first = False
                frames.append(Frame(PROTOCOL_HEADER, 0, buffer[:_GREETING_B]))
                at = _GREETING_B
        while end - at >= 7:
            kind, channel, size = _START.unpack_from(buffer, at)
            stop = at + 8 + size
            if kind not in (METHOD, BODY, HEADER, HEARTBEAT) or size > LONGEST_B:
                self._is_odd = True
                return frames, at
            if stop > end:
                self._need = stop - at
                return frames, at
            if buffer[stop - 1] != _END:
                self._is_odd = True
                return frames, at
            frames.append(Frame(kind, channel, buffer[at:stop]))
            at = stop
        self._need = 7
        return frames, at
