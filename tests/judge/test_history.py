"""A journal is read as a broker would: who was sent what, who settled it, and when."""

from __future__ import annotations

import pytest

from labs.journal import Event
from labs.judge.history import History, read_line
from labs.judge.lives import Delivery, Publish
from tests.judge.tale import QUEUE, Tale


def only(tale: Tale, body: str = "x") -> Delivery:
    """The only delivery of a message."""
    (delivery,) = tale.history.messages[body].deliveries
    return delivery


def publish_of(tale: Tale, body: str = "x") -> Publish:
    """The latest publish of a line."""
    return tale.history.messages[body].publishes[-1]


def sent(copy: str = "A", body: str = "x", **how: object) -> Tale:
    """A message is with a copy."""
    return Tale().worker("A", "B", **how).published(body).delivered(copy, body)


# --- Lines ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("done x", ("done", "x")),
        (" [x] Done x", ("done", "x")),
        ("DONE x\r", ("done", "x")),
        ("[worker 1]   sent  two words ", ("sent", "two words")),
        ("done done x", ("done", "done x")),
        ("done [x] y", ("done", "[x] y")),
        (" [x] Done", ("done", "")),
        ("doner x", None),
        ("not done x", None),
        (" [x] Received x", None),
        ("", None),
    ],
)
def test_a_line_is_done_or_sent_with_blanks_and_a_mark_before_it_or_it_is_another(
    text: str, read: tuple[str, str] | None
) -> None:
    assert read_line(text) == read


def test_a_done_line_belongs_to_the_delivery_before_it() -> None:
    tale = sent().done("A", "x")
    assert only(tale).done is not None
    assert tale.history.is_done("x")


def test_a_done_line_without_a_delivery_to_that_copy_counts_for_nothing() -> None:
    history = sent().said("B", "done x").history
    assert history.messages["x"].done[0].delivery is None
    assert not history.is_done("x")


def test_a_done_line_before_the_delivery_counts_for_nothing() -> None:
    tale = Tale().worker("A").published("x").said("A", "done x").delivered("A", "x")
    assert not tale.history.is_done("x")


def test_a_second_done_line_for_one_delivery_counts_for_nothing() -> None:
    history = sent().done("A", "x").done("A", "x").history
    assert [said.delivery is None for said in history.messages["x"].done] == [False, True]


def test_a_process_that_was_started_again_has_not_been_sent_what_the_first_one_was() -> None:
    tale = sent().killed("A").worker("A").said("A", "done x")
    assert not tale.history.is_done("x")


def test_a_line_is_never_of_a_message_that_was_not_published() -> None:
    assert sent().said("A", "done y").history.lines[0].message is None


# --- Settling -------------------------------------------------------------------------------


def test_an_ack_settles_its_delivery() -> None:
    settled = only(sent().acked("A", "x")).settled
    assert settled
    assert (settled.how, settled.requeue) == ("ack", False)


def test_an_ack_settles_nothing_on_another_connection() -> None:
    tale = sent("A")
    tale.frame("B", "client", "basic.ack", delivery_tag=1, multiple=False)
    assert only(tale).is_open


def test_an_ack_settles_nothing_on_another_channel() -> None:
    tale = sent().frame("A", "client", "basic.ack", 2, delivery_tag=1, multiple=False)
    assert only(tale).is_open


def test_an_ack_with_multiple_settles_all_up_to_its_tag() -> None:
    tale = Tale().worker("A").published("x", "y", "z")
    tale.delivered("A", "x").delivered("A", "y").delivered("A", "z").acked("A", "y", multiple=True)
    history = tale.history
    assert [bool(history.messages[body].deliveries[0].settled) for body in "xyz"] == [1, 1, 0]


def test_tag_0_with_multiple_settles_all() -> None:
    tale = Tale().worker("A").published("x", "y").delivered("A", "x").delivered("A", "y")
    tale.frame("A", "client", "basic.ack", delivery_tag=0, multiple=True)
    assert not tale.history.unacknowledged()


def test_a_reject_with_requeue_is_told_from_one_for_good() -> None:
    again, for_good = only(sent().rejected("A", "x", requeue=True)), only(sent().rejected("A", "x"))
    assert again.settled
    assert for_good.settled
    assert (again.settled.requeue, for_good.settled.requeue) == (True, False)


def test_with_auto_ack_a_message_is_settled_as_it_is_delivered() -> None:
    delivery = only(sent(auto_ack=True))
    assert delivery.settled
    assert delivery.settled.how == "auto"
    assert delivery.settled.event is delivery.began


def test_in_a_transaction_an_ack_counts_at_the_commit() -> None:
    tale = sent().frame("A", "client", "tx.select").acked("A", "x")
    assert only(tale).is_open
    settled = only(tale.frame("A", "client", "tx.commit")).settled
    assert settled
    assert settled.event.name == "tx.commit"


def test_an_ack_that_was_rolled_back_never_was() -> None:
    tale = sent().frame("A", "client", "tx.select").acked("A", "x")
    tale.frame("A", "client", "tx.rollback").frame("A", "client", "tx.commit")
    assert only(tale).is_open


def test_an_ack_that_a_fault_swallowed_is_remembered_and_settles_nothing() -> None:
    delivery = only(sent().acked("A", "x", swallowed=True))
    assert delivery.is_open
    assert delivery.unheard is not None


def test_an_ack_that_met_the_brokers_close_on_its_way_was_never_heard() -> None:
    tale = sent().done("A", "x").acked("A", "x")
    tale.frame("A", "broker", "connection.close", 0, reply_code=320, reply_text="closed").lost("A")
    assert only(tale).unheard is None  # so far it may have been in time
    tale.connected("A").consuming("A").delivered("A", "x", redelivered=True)
    before, again = tale.history.deliveries
    assert (before.settled, before.returned) == (None, before.connection.ended)
    assert before.unheard is not None
    assert again.is_open


def test_what_comes_again_may_be_another_message_with_the_same_body() -> None:
    tale = sent().done("A", "x").acked("A", "x")
    tale.published("x").lost("A").connected("A").consuming("A")
    tale.delivered("A", "x", redelivered=True)  # it was on its way when the connection was lost
    assert tale.history.deliveries[0].settled is not None
    tale.acked("A", "x").lost("A").connected("A").consuming("A")
    tale.delivered("A", "x", redelivered=True)
    first, second, _ = tale.history.deliveries
    assert first.settled is not None
    assert second.unheard is not None


@pytest.mark.parametrize(
    "end",
    [
        lambda tale: tale.lost("A"),
        lambda tale: tale.frame("A", "client", "channel.close", reply_code=200),
        lambda tale: tale.frame("A", "broker", "channel.close", reply_code=406, reply_text="x"),
        lambda tale: tale.frame("A", "client", "connection.close", 0, reply_code=200),
        lambda tale: tale.frame("A", "broker", "connection.close", 0, reply_code=320),
        lambda tale: tale.frame("A", "client", "basic.recover", requeue=True),
    ],
)
def test_what_is_open_goes_back_when_channel_or_connection_ends(end: object) -> None:
    tale = sent()
    end(tale)  # type: ignore[operator]
    delivery = only(tale)
    assert delivery.returned is not None
    assert delivery.settled is None


def test_to_cancel_a_consumer_gives_nothing_back() -> None:
    tale = sent().frame("A", "client", "basic.cancel", consumer_tag="c-A")
    assert only(tale).is_open
    assert not tale.history.is_consuming("A")


# --- Deliveries -----------------------------------------------------------------------------


def test_a_message_is_known_by_its_id_where_its_body_is_not_kept() -> None:
    tale = Tale().worker("A").published("x")
    tale.frame("A", "broker", "basic.deliver", consumer_tag="c-A", delivery_tag=1)
    tale.frame("A", "broker", "header", body_size=1, properties={"message_id": "id-x"})
    tale.frame("A", "broker", "body", size=1)
    assert only(tale).copy == "A"


def test_a_body_in_several_frames_is_one_body() -> None:
    tale = Tale().worker("A").published("long")
    tale.frame("A", "broker", "basic.deliver", consumer_tag="c-A", delivery_tag=1)
    tale.frame("A", "broker", "header", body_size=4, properties={})
    tale.frame("A", "broker", "body", size=2, text="lo")
    assert not tale.history.deliveries
    tale.frame("A", "broker", "body", size=2, text="ng")
    assert only(tale, "long").event.n == tale.events[-1].n


def test_a_delivery_that_a_fault_swallowed_never_arrived() -> None:
    tale = Tale().worker("A").published("x").delivered("A", "x", swallowed=True).done("A", "x")
    assert not only(tale).arrived
    assert not tale.history.is_done("x")


def test_a_polled_message_is_a_delivery_of_the_queue_that_was_asked() -> None:
    tale = Tale().started("A").connected("A").published("x")
    tale.frame("A", "client", "basic.get", queue=QUEUE, no_ack=True)
    tale.frame("A", "broker", "basic.get-ok", delivery_tag=1, redelivered=False, routing_key="")
    tale.frame("A", "broker", "header", body_size=1, properties={})
    tale.frame("A", "broker", "body", size=1, text="x")
    delivery = only(tale)
    assert (delivery.queue, delivery.consumer) == (QUEUE, None)
    assert delivery.settled
    assert delivery.settled.how == "auto"


def test_to_poll_in_vain_is_to_be_ready_as_well() -> None:
    tale = Tale().started("A").connected("A")
    assert not tale.history.is_consuming("A")
    tale.frame("A", "client", "basic.get", queue=QUEUE).frame("A", "broker", "basic.get-empty")
    assert tale.history.is_consuming("A")


def test_prefetch_holds_for_consumers_that_begin_after_it() -> None:
    before = Tale().worker("A", prefetch=1).history
    after = Tale().worker("A").frame("A", "client", "basic.qos", prefetch_count=1).history
    assert [h.consumers[0].prefetch for h in (before, after)] == [1, 0]


def test_a_prefetch_for_the_whole_channel_holds_at_once() -> None:
    tale = (
        Tale().worker("A").frame("A", "client", "basic.qos", prefetch_count=3, **{"global": True})
    )
    assert tale.history.consumers[0].prefetch == 3


def test_an_empty_name_means_the_queue_declared_last() -> None:
    assert Tale().worker("A", queue="").history.is_consuming("A")


def test_a_consumer_may_begin_without_an_answer() -> None:
    tale = Tale().started("A").connected("A").declared("A")
    tale.frame("A", "client", "basic.consume", queue=QUEUE, consumer_tag="mine", no_wait=True)
    assert tale.history.is_consuming("A")


def test_a_channel_that_is_closed_forgets_its_modes() -> None:
    tale = sent().frame("A", "client", "tx.select")
    tale.frame("A", "client", "channel.close", reply_code=200)
    tale.frame("A", "broker", "channel.close-ok").consuming("A").delivered("A", "x").acked("A", "x")
    assert tale.history.messages["x"].deliveries[-1].settled


def test_what_a_copy_has_in_hand_is_what_it_was_sent_and_has_not_done() -> None:
    tale = Tale().worker("A").published("x", "y", "z")
    tale.handled("A", "x").delivered("A", "y").delivered("A", "z")
    assert [d.message.body for d in tale.history.in_hand("A")] == ["y", "z"]


def test_what_was_acknowledged_before_its_work_is_in_hand_too() -> None:
    tale = sent().acked("A", "x")
    assert [d.message.body for d in tale.history.in_hand("A")] == ["x"]
    tale.done("A", "x")
    assert tale.history.in_hand("A") == []


def test_what_was_in_hand_can_be_asked_of_any_moment() -> None:
    tale = sent()
    moment = tale.event("signal", "kill", copy="A")
    assert len(tale.lost("A").history.in_hand("A", moment)) == 1
    assert tale.history.in_hand("A") == []


# --- Publishing -----------------------------------------------------------------------------


def test_a_confirm_with_multiple_is_for_all_up_to_its_number() -> None:
    tale = Tale().producer(confirms=True).given("x", "y").sends("x").sends("y")
    tale.confirmed("y", multiple=True)
    assert publish_of(tale, "x").confirmed is not None


def test_a_confirm_is_for_its_own_number_alone() -> None:
    tale = Tale().producer(confirms=True).given("x", "y").sends("x").sends("y").confirmed("y")
    assert publish_of(tale, "x").confirmed is None


def test_without_confirm_mode_a_publish_has_no_number() -> None:
    tale = Tale().producer().given("x").sends("x").confirmed("x")
    assert (publish_of(tale).number, publish_of(tale).confirmed) == (None, None)


def test_a_publish_that_a_fault_swallowed_is_counted_and_did_not_reach_the_broker() -> None:
    tale = Tale().producer(confirms=True).given("x", "y").sends("x", swallowed=True).sends("y")
    tale.confirmed("y")
    assert not publish_of(tale, "x").reached_broker
    assert publish_of(tale, "y").confirmed is not None


def test_a_nack_of_the_broker_is_a_refusal() -> None:
    tale = Tale().producer(confirms=True).given("x").sends("x")
    tale.frame("A", "broker", "basic.nack", delivery_tag=1, multiple=False)
    assert publish_of(tale).refused is not None


def test_a_return_is_for_the_publish_with_the_same_body() -> None:
    tale = Tale().producer(confirms=True).given("x", "y").sends("x").sends("y").returned("y")
    assert publish_of(tale, "x").returned is None
    assert publish_of(tale, "y").returned is not None


def test_a_publish_in_a_transaction_is_taken_with_the_answer_to_its_commit() -> None:
    tale = Tale().producer().frame("A", "client", "tx.select").given("x").sends("x")
    tale.frame("A", "client", "tx.commit")
    assert publish_of(tale).committed is None
    assert publish_of(tale.frame("A", "broker", "tx.commit-ok")).committed is not None


def test_a_later_answer_on_the_channel_shows_that_the_broker_had_the_publish() -> None:
    tale = Tale().producer().given("x").sends("x")
    assert publish_of(tale).answered is None
    assert publish_of(tale.declared()).answered is not None


# --- The rest -------------------------------------------------------------------------------


def test_a_connection_that_ended_ends_its_consumers() -> None:
    assert not Tale().worker("A").lost("A").history.is_consuming("A")


def test_what_the_broker_closed_for_an_error_is_a_refusal_with_its_words() -> None:
    (refusal,) = sent().refused("A", 406, "unknown delivery tag 1").history.wire.refusals
    assert (refusal.copy, refusal.code) == ("A", 406)


def test_a_publish_is_on_record_though_the_delivery_was_faster() -> None:
    tale = Tale().worker("A")
    tale.delivered("A", "x").published("x").done("A", "x")
    assert tale.history.is_done("x")


def test_to_follow_a_journal_is_to_read_it_at_once() -> None:
    events = sent().done("A", "x").acked("A", "x").events
    followed = History()
    for event in events:
        followed.follow([event])
    assert followed.life("x") == History.of(events).life("x")


def test_a_life_is_told_in_order_with_nothing_of_others() -> None:
    tale = Tale().worker("A").published("x", "y").handled("A", "x").handled("A", "y").left("y")
    kinds = [event.name or event.kind for event in tale.history.life("y")]
    assert kinds == ["published", "basic.deliver", "line", "basic.ack", "left"]


def test_a_recording_that_knows_of_no_program_is_read_as_well() -> None:
    events = [
        Event(0, 0.0, "connected", copy="A", connection=1),
        Event(1, 0.1, "frame", "basic.get-empty", "A", 1, 1, "broker"),
    ]
    assert len(History.of(events).wire.polls) == 1
