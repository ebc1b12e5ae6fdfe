"""A stream is cut into the same frames however it arrives, and no byte of it is changed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.amqp.frames import HEARTBEAT, LONGEST_B, METHOD, ODD, PROTOCOL_HEADER, Frame, FrameParser
from tests.amqp import streams

STREAMS = st.sampled_from([streams.CLIENT_STREAM, streams.BROKER_STREAM])


def fed(*chunks: bytes) -> list[Frame]:
    """What a parser makes of these chunks, and of the end after them."""
    parser = FrameParser()
    frames = [frame for chunk in chunks for frame in parser.feed(chunk)]
    return frames + parser.end()


def chunks_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("stream", [streams.CLIENT_STREAM, streams.BROKER_STREAM])
def test_a_stream_cut_in_two_at_any_point_gives_the_same_frames(stream: bytes) -> None:
    whole = fed(stream)
    assert ODD not in {frame.kind for frame in whole}

    for cut in range(len(stream) + 1):
        assert fed(stream[:cut], stream[cut:]) == whole


@pytest.mark.parametrize("stream", [streams.CLIENT_STREAM, streams.BROKER_STREAM])
def test_a_stream_that_comes_byte_by_byte_gives_the_same_frames(stream: bytes) -> None:
    assert fed(*(stream[at : at + 1] for at in range(len(stream)))) == fed(stream)


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 10_000), max_size=40))
def test_a_stream_in_any_chunks_gives_the_same_frames(stream: bytes, cuts: list[int]) -> None:
    assert fed(*chunks_of(stream, cuts)) == fed(stream)


@given(stream=STREAMS, ends=st.integers(0, 10_000), odd=st.binary(max_size=60), cuts=...)
def test_what_is_no_amqp_comes_out_byte_for_byte(
    stream: bytes, ends: int, odd: bytes, cuts: list[int]
) -> None:
    data = stream[: ends % len(stream)] + odd

    assert b"".join(frame.raw for frame in fed(*chunks_of(data, cuts))) == data


@given(data=st.binary(max_size=200), cuts=...)
def test_no_bytes_stop_the_parser(data: bytes, cuts: list[int]) -> None:
    assert b"".join(frame.raw for frame in fed(*chunks_of(data, cuts))) == data


def test_a_frame_comes_out_as_soon_as_its_last_byte_is_in() -> None:
    parser = FrameParser()
    assert parser.feed(streams.HEARTBEAT[:-1]) == []

    assert parser.feed(streams.HEARTBEAT[-1:]) == [Frame(HEARTBEAT, 0, streams.HEARTBEAT)]


def test_the_greeting_is_told_from_a_frame() -> None:
    assert [frame.kind for frame in fed(streams.CLIENT_STREAM)][:2] == [PROTOCOL_HEADER, METHOD]


@pytest.mark.parametrize(
    "odd",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"A strange greeting",
        b"\x04\x00\x00\x00\x00\x00\x00\xce",  # a kind of frame that there isn't
        b"\x01\x00\x00\x00\x00\x00\x01x?",  # an end that is none
        b"\x01\x00\x00" + (LONGEST_B + 1).to_bytes(4, "big"),
    ],
)
def test_what_is_no_frame_is_not_waited_for(odd: bytes) -> None:
    parser = FrameParser()

    assert parser.feed(odd) == [Frame(ODD, 0, odd)]
    assert parser.feed(streams.HEARTBEAT) == [Frame(ODD, 0, streams.HEARTBEAT)]
