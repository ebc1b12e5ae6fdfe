"""One connection without sockets: every fault, and that nothing changes without one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from labs.journal import Event, Journal
from labs.proxy.armory import Armory
from labs.proxy.conversation import Conversation
from labs.proxy.faults import (
    BROKER,
    CLIENT,
    AskHeartbeat,
    ConfirmTogether,
    Cut,
    Delay,
    DropConfirm,
    Fault,
    HoldHeartbeats,
    Lose,
    Moment,
    RefusePublish,
    Side,
    Stall,
)
from tests.amqp import streams
from tests.proxy.talk import Talk, names

STREAMS: dict[Side, bytes] = {CLIENT: streams.CLIENT_STREAM, BROKER: streams.BROKER_STREAM}
NEVER = Moment("basic.recover", CLIENT)
IDLE_FAULTS: tuple[Fault, ...] = (
    Cut(NEVER),
    Stall(NEVER, BROKER),
    Lose(NEVER),
    RefusePublish(nth=99),
    DropConfirm(nth=99),
    HoldHeartbeats(CLIENT, after=NEVER),
    ConfirmTogether(door="B"),
    Delay(1.0, door="B"),
    AskHeartbeat(1, door="B"),
)


def passed(side: Side, chunks: list[bytes], faults: tuple[Fault, ...]) -> tuple[bytes, list[Event]]:
    """What comes out for these chunks, and what is put on record."""
    journal = Journal(clock=lambda: 0.0)
    conversation = Conversation(1, "A", Armory(faults), journal)
    out = b""
    for chunk in chunks:
        conversation.receive(side, chunk, 0.0)
        out += conversation.link(side).take()
    conversation.end(side, 0.0)
    return out + conversation.link(side).take(), list(journal.events)


# Without a fault


@pytest.mark.parametrize("faults", [(), IDLE_FAULTS], ids=["no faults", "faults elsewhere"])
@pytest.mark.parametrize("side", [CLIENT, BROKER])
def test_a_stream_cut_at_any_point_passes_byte_for_byte(
    side: Side, faults: tuple[Fault, ...]
) -> None:
    stream = STREAMS[side]
    _, record = passed(side, [stream], faults)
    assert len(record) == len(streams.frames_of(stream))

    for cut in range(len(stream) + 1):
        assert passed(side, [stream[:cut], stream[cut:]], faults) == (stream, record)


@given(
    side=st.sampled_from([CLIENT, BROKER]),
    cuts=st.lists(st.integers(0, 10_000), max_size=30),
    ends=st.integers(0, 10_000),
    odd=st.binary(max_size=40),
)
def test_any_bytes_in_any_chunks_pass_byte_for_byte(
    side: Side, cuts: list[int], ends: int, odd: bytes
) -> None:
    data = STREAMS[side][: ends % len(STREAMS[side])] + odd
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]

    out, _ = passed(side, [data[a:b] for a, b in pairwise(edges)], IDLE_FAULTS)

    assert out == data


def test_the_password_is_not_on_record() -> None:
    _, record = passed(CLIENT, [streams.CLIENT_STREAM], ())

    assert "secret" not in "".join(event.to_json() for event in record)


def test_the_programs_output_is_put_on_record_before_an_ack_is() -> None:
    talk = Talk(before_settle=lambda: talk.journal.append("line", data={"text": "done a"}))
    talk.consuming().deliver("a", 1)

    talk.client(commands.Basic.Ack(1))
    talk.publish("b")
    talk.broker(commands.Basic.Return(312, "NO_ROUTE", "", "q"), streams.content(b"b"))

    lines = [n for n, said in enumerate(talk.record()) if said == "line "]
    assert [talk.record()[n + 1] for n in lines] == ["client basic.ack", "broker basic.return"]


# Cut


def test_a_cut_before_a_publish_keeps_it_from_the_broker_and_holds_a_while() -> None:
    talk = Talk(Cut(Moment("basic.publish", CLIENT, nth=2), hold_s=0.5)).confirm_mode()

    talk.publish("a", "b", "c")
    talk.confirm(1)

    assert talk.bodies_at_broker() == ["a"]
    assert talk.client_got() == []  # nothing passes any more, either way
    assert talk.conversation.cut_at_s == talk.now_s + 0.5
    assert talk.faults() == [
        (
            "cut",
            {
                "how": "reset",
                "before": True,
                "hold_s": 0.5,
                "frame": "basic.publish",
                "delivery_tag": 2,
                "queue": "q",
                "message_id": "id-b",
                "body": "b",
            },
        )
    ]
    since = talk.record().index("fault cut")
    assert talk.record()[since + 1 :] == [
        *["client basic.publish swallowed", "client header swallowed", "client body swallowed"] * 2,
        "broker basic.ack swallowed",
    ]


def test_a_cut_after_a_publish_lets_it_reach_the_broker_and_its_confirm_not_the_client() -> None:
    talk = Talk(Cut(Moment("basic.publish", CLIENT), before=False)).confirm_mode()

    talk.publish("a")
    talk.confirm(1)

    assert talk.bodies_at_broker() == ["a"]
    assert talk.client_got() == []
    assert talk.conversation.cut_at_s == talk.now_s


def test_a_cut_waits_for_the_whole_message() -> None:
    talk = Talk(Cut(Moment("basic.publish", CLIENT), before=False))
    whole = streams.publish(b"hello")

    talk.client(whole[:-3])
    assert not talk.conversation.is_severed

    talk.client(whole[-3:])
    assert talk.conversation.is_severed
    assert names(talk.broker_got()) == ["basic.publish", "header", "body"]


def test_a_moment_is_counted_over_connections_and_by_door_channel_and_queue() -> None:
    at = Moment("basic.deliver", BROKER, door="A", nth=2, queue="jobs")
    first = Talk(Cut(at)).consuming("jobs")
    other_door = Talk(beside=first, door="B", number=2).consuming("jobs")
    other_queue = Talk(beside=first, number=3).consuming("logs")
    second = Talk(beside=first, number=4).consuming("jobs")

    first.deliver("a", 1)
    other_door.deliver("b", 1)
    other_queue.deliver("c", 1)
    assert first.faults() == []
    second.deliver("d", 1)

    assert [data["body"] for _, data in first.faults()] == ["d"]
    assert second.client_got() == []


def test_a_fault_strikes_once() -> None:
    first = Talk(Lose(Moment("basic.ack", CLIENT)))
    second = Talk(beside=first, number=2)

    for talk in (first, second, first):
        talk.client(commands.Basic.Ack(1))

    assert names(first.broker_got()) == ["basic.ack"]
    assert names(second.broker_got()) == ["basic.ack"]


# Lose


def test_a_lost_ack_is_named_by_its_message() -> None:
    talk = Talk(Lose(Moment("basic.ack", CLIENT, nth=2, queue="jobs"))).consuming("jobs")
    for tag, body in enumerate("abc", 1):
        talk.deliver(body, tag)
        talk.client(commands.Basic.Ack(tag))

    assert [said.data["delivery_tag"] for said in talk.broker_got()] == [1, 3]
    about = {"frame": "basic.ack", "delivery_tag": 2, "queue": "jobs"}
    assert talk.faults() == [("lose", about | {"message_id": "id-b", "body": "b"})]
    assert "client basic.ack swallowed" in talk.record()


def test_a_lost_delivery_takes_its_header_and_body_with_it() -> None:
    talk = Talk(Lose(Moment("basic.deliver", BROKER))).consuming()

    talk.deliver("a", 1)
    talk.deliver("b", 2)

    assert [said.data.get("text") for said in talk.client_got()] == [None, None, "b"]


def test_a_message_of_many_frames_on_two_channels_at_once_is_lost_as_one() -> None:
    talk = Talk(Lose(Moment("basic.publish", CLIENT, channel=1)))
    method = commands.Basic.Publish(routing_key="q")
    lost, kept = (
        streams.frames_of(streams.said(method, n) + streams.content(b"x" * 30, n, frame_b=10))
        for n in (1, 2)
    )

    for one, other in zip(lost, kept, strict=True):
        talk.client(one.raw, other.raw)

    assert talk.conversation.to_broker.take() == b"".join(frame.raw for frame in kept)


def test_a_message_got_is_known_as_one_delivered_is() -> None:
    talk = Talk(Lose(Moment("basic.ack", CLIENT, queue="jobs")))
    talk.client(commands.Basic.Get(queue="empty"), commands.Basic.Get(queue="jobs"))
    talk.broker(
        commands.Basic.GetEmpty(),
        streams.said(commands.Basic.GetOk(1, False, "", "jobs", 0)) + streams.content(b"a"),
    )

    talk.client(commands.Basic.Ack(1))

    assert [data["body"] for _, data in talk.faults()] == ["a"]


def test_the_queue_of_a_consumer_without_a_name_is_known_from_the_answer() -> None:
    talk = Talk(Lose(Moment("basic.deliver", BROKER, queue="amq.gen-1")))
    talk.client(commands.Queue.Declare(queue=""))
    talk.broker(commands.Queue.DeclareOk("amq.gen-1", 0, 0))
    talk.consuming(queue="", consumer="amq.ctag-1")

    talk.deliver("a", 1, consumer="amq.ctag-1")

    assert len(talk.faults()) == 1


# Delay, stall


def test_what_is_delayed_comes_later_and_in_order() -> None:
    talk = Talk(Delay(0.3, side=CLIENT))

    talk.publish("a")
    talk.wait(0.2)
    talk.publish("b")
    talk.broker(streams.HEARTBEAT)
    assert (talk.bodies_at_broker(), names(talk.client_got())) == ([], ["heartbeat"])
    assert talk.conversation.due_s == pytest.approx(100.3)

    talk.wait(0.15)
    assert talk.bodies_at_broker() == ["a"]
    talk.wait(0.2)
    assert talk.bodies_at_broker() == ["b"]
    assert [name for name, _ in talk.faults()] == ["delay"]


def test_a_released_delay_lets_pass_what_waits() -> None:
    talk = Talk(Delay(5.0))
    talk.publish("a", "b")

    talk.armory.release(Delay(5.0))
    talk.conversation.release(Delay(5.0), talk.now_s)

    assert talk.bodies_at_broker() == ["a", "b"]
    talk.publish("c")
    assert talk.bodies_at_broker() == ["c"]


def test_a_stalled_side_waits_until_released_and_the_other_does_not() -> None:
    stall = Stall(Moment("basic.publish", CLIENT), side=BROKER)
    talk = Talk(stall)

    talk.publish("a")
    talk.broker(streams.HEARTBEAT)
    talk.conversation.end(BROKER, talk.now_s)
    talk.publish("b")
    talk.wait(60)

    assert talk.bodies_at_broker() == ["a", "b"]
    assert talk.client_got() == []
    assert not talk.conversation.to_client.is_finished  # that it ended has to wait, too
    assert talk.conversation.to_client.waiting_b == len(streams.HEARTBEAT)

    talk.conversation.release(stall, talk.now_s)
    assert names(talk.client_got()) == ["heartbeat"]
    assert talk.conversation.to_client.is_finished
    assert talk.conversation.to_client.waiting_b == 0


def test_a_stall_at_a_sides_own_frame_holds_what_comes_after_it_in_the_same_bytes() -> None:
    talk = Talk(Stall(Moment("basic.publish", CLIENT), side=CLIENT))

    talk.publish("a", "b")

    assert talk.bodies_at_broker() == ["a"]


# Heartbeats


def test_held_heartbeats_do_not_arrive_after_the_moment() -> None:
    fault = HoldHeartbeats(CLIENT, after=Moment("basic.ack", CLIENT, nth=2))
    talk = Talk(fault)

    talk.client(streams.HEARTBEAT, commands.Basic.Ack(1), streams.HEARTBEAT, commands.Basic.Ack(2))
    talk.client(streams.HEARTBEAT, streams.HEARTBEAT)
    talk.broker(streams.HEARTBEAT)

    passed_on = names(talk.broker_got())
    assert passed_on == ["heartbeat", "basic.ack", "heartbeat", "basic.ack"]
    assert names(talk.client_got()) == ["heartbeat"]
    assert [name for name, _ in talk.faults()] == ["hold-heartbeats"]
    assert talk.record().count("client heartbeat swallowed") == 2

    talk.armory.release(fault)
    talk.client(streams.HEARTBEAT)
    assert names(talk.broker_got()) == ["heartbeat"]


def test_the_broker_seems_to_ask_for_a_heartbeat_and_gets_the_clients_answer() -> None:
    talk = Talk(AskHeartbeat(1, door="A"))

    talk.broker(commands.Connection.Tune(2047, 131072, 60), channel=0)
    (tune,) = talk.client_got()
    talk.client(commands.Connection.TuneOk(2047, 131072, 30), channel=0)
    (tune_ok,) = talk.broker_got()

    assert tune.data == {"channel_max": 2047, "frame_max": 131072, "heartbeat": 1}
    assert tune_ok.data["heartbeat"] == 30
    assert talk.record() == [
        "fault ask-heartbeat",
        "broker connection.tune forged",
        "client connection.tune-ok",
    ]


# Confirms


def test_a_refused_publish_does_not_reach_the_broker_and_is_nacked_at_once() -> None:
    talk = Talk(RefusePublish(nth=2, door="A")).confirm_mode()

    talk.publish("a", "b", "c")

    assert talk.bodies_at_broker() == ["a", "c"]
    assert talk.confirms_at_client() == [("nack", 2, False)]
    assert [(name, data["body"]) for name, data in talk.faults()] == [("refuse-publish", "b")]
    record = talk.record()
    at = record.index("fault refuse-publish")
    assert record[at + 1 : at + 5] == [
        "client basic.publish swallowed",
        "client header swallowed",
        "client body swallowed",
        "broker basic.nack forged",
    ]


def test_confirms_after_a_refused_publish_bear_the_clients_numbers() -> None:
    talk = Talk(RefusePublish(nth=2)).confirm_mode()
    talk.publish("a", "b", "c", "d", "e")
    talk.client_got()

    talk.confirm(1)
    talk.confirm(3, multiple=True)
    talk.broker(commands.Basic.Nack(4, False, True))

    assert talk.confirms_at_client() == [("ack", 1, False), ("ack", 4, True), ("nack", 5, False)]


def test_only_publishes_to_be_confirmed_are_refused() -> None:
    talk = Talk(RefusePublish())
    talk.client(commands.Tx.Select())

    talk.publish("a")
    talk.confirm_mode(channel=2)
    talk.client(streams.publish(b"b", 2))

    assert [data["body"] for _, data in talk.faults()] == ["b"]


def test_a_dropped_confirm_is_not_given_away_by_a_later_one() -> None:
    talk = Talk(DropConfirm(nth=2)).confirm_mode()
    talk.publish("a", "b", "c", "d", "e")

    talk.confirm(3, multiple=True)
    talk.confirm(5, multiple=True)

    assert talk.confirms_at_client() == [
        ("ack", 1, False),
        ("ack", 3, False),
        ("ack", 4, False),
        ("ack", 5, False),
    ]
    assert talk.faults() == [("drop-confirm", {"delivery_tag": 2})]


def test_a_dropped_confirm_that_comes_alone_is_swallowed() -> None:
    talk = Talk(DropConfirm()).confirm_mode()
    talk.publish("a")

    talk.confirm(1)

    assert talk.client_got() == []
    assert talk.record()[-2:] == ["fault drop-confirm", "broker basic.ack swallowed"]


def test_confirms_come_together_when_there_are_enough_of_them() -> None:
    talk = Talk(ConfirmTogether(n=3, within_s=1.0)).confirm_mode()
    talk.publish(*"abcde")

    talk.confirm(1, 2)
    assert talk.confirms_at_client() == []
    talk.confirm(3, 4)

    assert talk.confirms_at_client() == [("ack", 3, True)]
    assert talk.faults() == [("confirm-together", {"delivery_tags": [1, 2, 3]})]
    assert talk.record().count("broker basic.ack swallowed") == 3


def test_confirms_that_wait_come_when_it_gets_late() -> None:
    talk = Talk(ConfirmTogether(n=10, within_s=0.2)).confirm_mode()
    talk.publish("a", "b", "c")
    talk.confirm(1, 2)
    assert talk.conversation.due_s == pytest.approx(100.2)

    talk.wait(0.2)

    assert talk.confirms_at_client() == [("ack", 2, True)]
    talk.confirm(3)
    talk.wait(0.2)
    assert talk.confirms_at_client() == [("ack", 3, False)]  # alone, it is as the broker said it
    assert talk.conversation.due_s is None


def test_confirms_together_never_confirm_what_the_broker_has_not() -> None:
    talk = Talk(ConfirmTogether(n=3, within_s=1.0)).confirm_mode()
    talk.publish(*"abcd")

    talk.confirm(1, 4, 2)

    assert talk.confirms_at_client() == [("ack", 2, True), ("ack", 4, False)]


def test_waiting_confirms_come_before_a_nack_and_before_the_channel_closes() -> None:
    talk = Talk(ConfirmTogether(n=9, within_s=9.0)).confirm_mode()
    talk.publish(*"abcde")

    talk.confirm(1, 2)
    talk.broker(commands.Basic.Nack(3, False, False))
    talk.confirm(4, 5)
    talk.broker(commands.Channel.Close(406, "", 0, 0))

    assert [said.name for said in talk.client_got()] == [
        "basic.ack",
        "basic.nack",
        "basic.ack",
        "channel.close",
    ]


def test_a_new_channel_of_the_same_number_counts_from_one() -> None:
    talk = Talk(RefusePublish()).confirm_mode()
    talk.publish("a")
    talk.client(commands.Channel.Close(200, "", 0, 0))
    talk.broker(commands.Channel.CloseOk())

    talk.confirm_mode()
    talk.publish("b")
    talk.confirm(1)

    assert talk.confirms_at_client() == [("ack", 1, False)]
