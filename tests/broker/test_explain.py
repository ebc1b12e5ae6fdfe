"""Each row of the table of errors, provoked for real: the row fits, and its words help."""

from __future__ import annotations

import re
import socket
import string
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pika
import pika.exceptions
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from labs.broker.address import Address
from labs.broker.connection import connected
from labs.broker.explain import ROWS, explain, row_of
from labs.broker.management import Management
from labs.broker.ports import free_port

Provoke = Callable[[BlockingChannel], object]


def raised(provoke: Callable[[], object]) -> BaseException:
    try:
        provoke()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at
        return error
    pytest.fail("nothing was raised")


def raised_on_channel(address: Address, provoke: Provoke) -> BaseException:
    with connected(address) as connection:
        channel = connection.channel()
        return raised(lambda: provoke(channel))


def redeclare(channel: BlockingChannel) -> None:
    channel.queue_declare("hello", durable=True)
    channel.queue_declare("hello", durable=True, arguments={"x-max-length": 3})


def publish_to_no_exchange(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    channel.basic_publish("nosuch", "", b"x")


def use_after_error(channel: BlockingChannel) -> None:
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        channel.queue_declare("nosuch", passive=True)
    channel.queue_declare("hello", durable=True)


def ack_what_was_never_delivered(channel: BlockingChannel) -> None:
    channel.basic_ack(1)
    channel.queue_declare("hello", durable=True)


def consume_beside_an_exclusive_consumer(channel: BlockingChannel) -> None:
    channel.queue_declare("hello", durable=True)
    channel.basic_consume("hello", print, exclusive=True)
    channel.connection.channel().basic_consume("hello", print)


def overfill(channel: BlockingChannel) -> None:
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare("small", durable=True, arguments=arguments)
    channel.confirm_delivery()
    for _ in range(5):
        channel.basic_publish("", "small", b"x")


def publish_mandatory_to_nobody(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    channel.basic_publish("", "nosuch", b"x", mandatory=True)


def consume_inside_a_callback(channel: BlockingChannel) -> None:
    channel.queue_declare("hello", durable=True)
    channel.basic_publish("", "hello", b"x")
    channel.basic_consume("hello", lambda *_: channel.start_consuming(), auto_ack=True)
    channel.start_consuming()


def delete_under_a_consumer(channel: BlockingChannel) -> None:
    channel.queue_declare("hello", durable=True)
    # What pika's generator does by itself is told here as a plain callback would be.
    channel.add_on_cancel_callback(fail_cancelled)
    channel.basic_consume("hello", print)
    channel.connection.channel().queue_delete("hello")
    channel.connection.process_data_events(time_limit=2)


def fail_cancelled(_: object) -> None:
    raise pika.exceptions.ConsumerCancelled("by the broker")


def consume_as_before_pika_1(channel: Any) -> None:
    channel.basic_consume(print, queue="hello", no_ack=True)


ON_A_CHANNEL: dict[str, tuple[Provoke, str]] = {
    "E7": (redeclare, "x-max-length"),
    "E8": (use_after_error, "first error"),
    "E9": (lambda channel: channel.basic_consume("nosuch", print), "nosuch"),
    "E10": (publish_to_no_exchange, "nosuch"),
    "E11": (ack_what_was_never_delivered, "delivery 1"),
    "E14": (consume_as_before_pika_1, "1.0"),
    "E15": (lambda c: c.basic_publish("", "hello", {"a": 1}), "dict"),  # type: ignore[arg-type]
    "E17": (consume_beside_an_exclusive_consumer, "hello"),
    "E19": (publish_mandatory_to_nobody, "no queue"),
    "E20": (overfill, "full"),
    "E21": (consume_inside_a_callback, "inside"),
    "E24 prefetch": (lambda channel: channel.basic_qos(prefetch_count=70000), "65535"),
    "E24 expiration": (
        lambda c: c.basic_publish("", "q", b"", pika.BasicProperties(expiration=60)),  # type: ignore[arg-type]
        "expiration",
    ),
    "reserved": (lambda channel: channel.queue_declare("amq.mine", durable=True), "amq.mine"),
    "cancelled": (delete_under_a_consumer, "deleted"),
}


@pytest.mark.parametrize("name", ON_A_CHANNEL)
def test_an_error_on_a_channel_is_told_in_words(vhost: Address, name: str) -> None:
    provoke, word = ON_A_CHANNEL[name]

    error = raised_on_channel(vhost, provoke)

    assert_explained(error, name, word)


def test_a_refused_login_is_told_without_the_password(vhost: Address) -> None:
    def wrong() -> None:
        with connected(replace(vhost, password="topsecret")):
            pass

    assert_explained(raised(wrong), "E3", "password")


def test_a_vhost_that_is_not_there(vhost: Address) -> None:
    def ghost() -> None:
        with connected(vhost.in_vhost("ghost")):
            pass

    assert_explained(raised(ghost), "E4", "%2F")


def test_a_vhost_that_is_somebody_elses(vhost: Address) -> None:
    def other() -> None:
        with connected(vhost.in_vhost("/")):
            pass

    assert_explained(raised(other), "E5", vhost.username)


def test_a_queue_that_the_permissions_leave_out(broker: Address, vhost: Address) -> None:
    with Management(broker) as management:
        management.set_permissions(vhost.username, vhost.vhost, configure="^ann-")

    error = raised_on_channel(vhost, lambda channel: channel.queue_declare("hello", durable=True))

    assert_explained(error, "E6", "hello")


def test_an_exclusive_queue_of_another_connection(vhost: Address) -> None:
    with connected(vhost) as other:
        other.channel().queue_declare("mine", exclusive=True)
        error = raised_on_channel(vhost, lambda channel: channel.queue_declare("mine"))

    assert_explained(error, "E16", "mine")


def test_nothing_listens(vhost: Address) -> None:
    def nobody() -> None:
        with connected(replace(vhost, port=free_port())):
            pass

    error = raised(nobody)

    assert str(error) == "", "pika's own words are none, so the table must not rely on them"
    assert_explained(error, "E1", "labs up")


def test_a_host_that_is_not_known(vhost: Address) -> None:
    def unknown() -> None:
        with connected(replace(vhost, host="no-such-host.invalid")):
            pass

    assert_explained(raised(unknown), "E2", "misspelt")


@contextmanager
def listening(answer: bytes) -> Iterator[int]:
    """A port where somebody accepts, says `answer` (if anything), and waits."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    accepted, _ = server.accept()
                    held.append(accepted)
                    accepted.sendall(answer)
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        for accepted in held:
            accepted.close()


def test_a_service_that_accepts_and_says_nothing(vhost: Address) -> None:
    def connect(port: int) -> None:
        with connected(replace(vhost, port=port), timeout_s=1):
            pass

    with listening(b"") as port:
        error = raised(lambda: connect(port))

    assert_explained(error, "E23", "15672")


def test_the_management_page_is_not_amqp(vhost: Address) -> None:
    assert vhost.management_url is not None
    port = int(vhost.management_url.rpartition(":")[2])

    def connect() -> None:
        with connected(replace(vhost, port=port), timeout_s=2):
            pass

    assert_explained(raised(connect), "E23", "15672")


def test_tls_to_a_plain_port(vhost: Address) -> None:
    def connect() -> None:
        with connected(replace(vhost, tls=True), timeout_s=2):
            pass

    assert_explained(raised(connect), "TLS", "5672")


def test_a_connection_that_the_broker_closes(broker: Address, vhost: Address) -> None:
    with connected(vhost) as connection, Management(broker) as management:
        management.close_connections_of(vhost.username, reason="because of a test")
        error = raised(lambda: connection.process_data_events(time_limit=10))

    assert_explained(error, "E22", "reconnect")


def test_a_connection_that_the_network_loses(vhost: Address) -> None:
    with connected(vhost) as connection:
        transport = connection._impl._transport  # type: ignore[attr-defined]
        transport._sock.shutdown(socket.SHUT_RDWR)
        error = raised(lambda: connection.process_data_events(time_limit=5))

    assert_explained(error, "E12", "heartbeat")


def test_a_connection_used_after_its_end(vhost: Address) -> None:
    with connected(vhost) as connection:
        connection.close()
        error = raised(connection.channel)

    assert_explained(error, "connection closed", "again")


AS_SEEN = {
    "E13": pika.exceptions.ChannelClosedByBroker(
        406,
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. "
        "Timeout value used: 3000 ms. This timeout value can be configured",
    ),
    "E18": IndexError("pop from an empty deque"),
    "541": pika.exceptions.ConnectionClosedByBroker(
        541, "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated."
    ),
    "blocked": pika.exceptions.ConnectionBlockedTimeout("Blocked connection timeout expired."),
    "limit": pika.exceptions.ConnectionClosedByBroker(
        530, "NOT_ALLOWED - access to vhost 'x' refused for user 'y': connection limit (2) reached"
    ),
    "no way": OSError(113, "No route to host"),
}


@pytest.mark.parametrize("name", AS_SEEN)
def test_an_error_too_rare_to_provoke_here_is_told_as_it_was_seen(name: str) -> None:
    assert_explained(AS_SEEN[name], name, "")


def test_an_error_that_no_row_fits_keeps_its_own_words() -> None:
    told = explain(ValueError("who knows"))

    assert told.what == "ValueError: who knows"
    assert "doctor" in told.cure


def test_no_row_asks_for_a_name_that_its_pattern_does_not_catch() -> None:
    for row in ROWS:
        caught = set(re.compile(row.pattern).groupindex)
        asked = {
            field.split("!")[0]
            for text in (row.what, row.cause, row.cure)
            for _, field, _, _ in string.Formatter().parse(text)
            if field
        }
        assert asked <= caught, row.name


def assert_explained(error: BaseException, name: str, word: str) -> None:
    row = row_of(error)
    assert row is not None, repr(error)
    assert row.name == name, f"{error!r} was taken for {row.name}"
    told = explain(error)
    text = f"{told.what} {told.cause} {told.cure}"
    assert all((told.what, told.cause, told.cure))
    assert word in text
    assert "topsecret" not in text
