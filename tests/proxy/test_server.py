"""The proxy's sockets: doors that open and shut, connections that end in every way."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing

import pika
import pika.exceptions
import pytest

from labs.broker.address import Address
from labs.broker.connection import connected, log_in
from labs.broker.management import Management
from labs.errors import BrokerUnreachable
from labs.journal import Event, Journal
from labs.proxy.faults import BROKER, CLIENT, Delay, Moment, Stall
from labs.proxy.server import Proxy, Upstream
from labs.waiting import wait_until
from tests import support
from tests.amqp import streams
from tests.proxy.conftest import StartProxy, through

TIMEOUT_S = 20


def of_kind(journal: Journal, kind: str) -> list[Event]:
    return [event for event in journal.events if event.kind == kind]


def wait_for(journal: Journal, kind: str, n: int = 1) -> list[Event]:
    """Wait for the nth event of this kind; return all of them."""

    def look() -> list[Event] | None:
        found = of_kind(journal, kind)
        return found if len(found) >= n else None

    return wait_until(look, TIMEOUT_S, what=f"{kind} on record", interval_s=0.01)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)


def received(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := end.recv(size - len(data))):
        data += more
    return data


def sent_until_it_has_to_wait(end: socket.socket, frame: bytes) -> int:
    """Send these bytes over and over until nobody takes them any more; how many were taken."""
    end.settimeout(1.0)
    sent = 0
    while sent < 200_000_000:
        try:
            sent += end.send(frame[sent % len(frame) :])
        except TimeoutError:
            return sent
    raise AssertionError("the proxy has taken 200 MB that nobody reads")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server in the broker's place, whose sockets the test holds in its hand."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.settimeout(TIMEOUT_S)
        yield listening


@pytest.fixture
def proxy(server: socket.socket, journal: Journal) -> Iterator[Proxy]:
    with Proxy(Upstream("127.0.0.1", server.getsockname()[1]), journal) as proxy:
        yield proxy


@pytest.fixture
def ends(
    proxy: Proxy, server: socket.socket, journal: Journal
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection's two ends: the client's, and the server's."""
    client = connect(proxy.open("A"))
    broker, _ = server.accept()
    wait_for(journal, "connected")
    broker.settimeout(TIMEOUT_S)
    with closing(client), closing(broker):
        yield client, broker


Ends = tuple[socket.socket, socket.socket]

# Doors


def test_a_shut_door_refuses_and_opens_again_at_the_same_port(
    start_proxy: StartProxy, vhost: Address
) -> None:
    proxy = start_proxy()
    port = proxy.open("A")
    with connected(through(vhost, port)) as connection:
        for _ in range(3):
            proxy.shut("A")
            with pytest.raises(ConnectionRefusedError):
                connect(port)
            assert proxy.open("A") == port
            assert log_in(through(vhost, port)).product == "RabbitMQ"

        connection.channel()  # who is inside stays inside


def test_nobody_else_gets_the_port_of_a_shut_door(proxy: Proxy) -> None:
    port = proxy.open("A")
    proxy.shut("A")

    with pytest.raises(OSError, match="in use"), closing(socket.socket()) as other:
        other.bind(("127.0.0.1", port))


def test_a_taken_port_is_an_error(proxy: Proxy, server: socket.socket) -> None:
    with pytest.raises(OSError, match="in use"):
        proxy.open("A", server.getsockname()[1])


def test_each_connection_bears_its_number_and_its_doors_name(
    start_proxy: StartProxy, vhost: Address, journal: Journal
) -> None:
    proxy = start_proxy()
    doors = {name: proxy.open(name) for name in ("A", "B")}

    with connected(through(vhost, doors["B"])), connected(through(vhost, doors["A"])):
        first, second = proxy.connections()
        assert [(c.number, c.door, c.is_open) for c in (first, second)] == [
            (1, "B", True),
            (2, "A", True),
        ]
        assert proxy.connections("A") == (second,)
    wait_for(journal, "disconnected", 2)
    assert [c.is_open for c in proxy.connections()] == [False, False]
    assert [event.data["by"] for event in of_kind(journal, "disconnected")] == ["client"] * 2


def test_the_broker_knows_a_connection_by_the_name_that_it_bears_here(
    start_proxy: StartProxy, vhost: Address, broker: Address
) -> None:
    proxy = start_proxy()
    with connected(through(vhost, proxy.open("A"))) as connection, Management(broker) as management:
        (known,) = proxy.connections()
        named = [one["name"] for one in management.connections_of(vhost.username)]
        assert named == [known.broker_name]
        management.close_connections_of(vhost.username, "for the test")

        with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match="for the test"):
            connection.channel()


# Ends


def test_bytes_pass_both_ways(ends: Ends) -> None:
    client, broker = ends
    client.sendall(streams.CLIENT_STREAM)
    broker.sendall(streams.BROKER_STREAM)

    assert received(broker, len(streams.CLIENT_STREAM)) == streams.CLIENT_STREAM
    assert received(client, len(streams.BROKER_STREAM)) == streams.BROKER_STREAM


def test_a_side_that_has_said_all_is_still_answered(ends: Ends, journal: Journal) -> None:
    client, broker = ends
    client.sendall(streams.HEARTBEAT + b"\x08\x00")
    client.shutdown(socket.SHUT_WR)

    assert received(broker, 100) == streams.HEARTBEAT + b"\x08\x00"  # up to the end
    broker.sendall(streams.BROKER_STREAM)
    broker.close()

    assert received(client, 100_000) == streams.BROKER_STREAM
    (event,) = wait_for(journal, "disconnected")
    assert event.data == {"by": "client", "how": "closed"}


def test_a_client_that_vanishes_is_seen_to_go_by_the_broker(ends: Ends, journal: Journal) -> None:
    client, broker = ends
    client.sendall(streams.HEARTBEAT)
    assert received(broker, 8) == streams.HEARTBEAT
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()

    assert broker.recv(1) == b""
    broker.close()
    (event,) = wait_for(journal, "disconnected")
    assert event.data == {"by": "client", "how": "reset"}


def test_a_broker_that_vanishes_resets_the_client(ends: Ends, journal: Journal) -> None:
    client, broker = ends
    broker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    broker.close()

    with pytest.raises(ConnectionResetError):
        client.recv(1)
    (event,) = wait_for(journal, "disconnected")
    assert event.data == {"by": "broker", "how": "reset"}


@pytest.mark.parametrize("goes", [False, True], ids=["stays", "goes"])
def test_what_a_client_says_before_the_broker_is_reached_is_not_lost(
    journal: Journal, goes: bool
) -> None:
    """A broker whose queue of callers is full takes a second to be reached."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        server.settimeout(TIMEOUT_S)
        port = server.getsockname()[1]
        with (
            closing(connect(port)),  # the one caller that there is room for
            Proxy(Upstream("127.0.0.1", port), journal) as proxy,
            closing(connect(proxy.open("A"))) as client,
        ):
            client.sendall(streams.GREETING)
            if goes:
                client.shutdown(socket.SHUT_WR)
            server.accept()[0].close()  # there is room again
            broker, _ = server.accept()
            with closing(broker):
                broker.settimeout(TIMEOUT_S)
                assert received(broker, 8) == streams.GREETING
                if goes:
                    assert broker.recv(1) == b""
    assert [e.name or e.kind for e in journal.events][:2] == ["connected", "protocol-header"]


def test_a_broker_that_is_away_resets_who_comes(
    proxy: Proxy, server: socket.socket, journal: Journal
) -> None:
    server.close()

    with pytest.raises(ConnectionResetError), closing(connect(proxy.open("A"))) as client:
        client.recv(1)
    (event,) = wait_for(journal, "disconnected")
    assert (event.data["by"], event.data["how"]) == ("broker", "unreachable")
    assert of_kind(journal, "connected") == []


def test_a_cut_resets_the_client_and_tells_the_broker(
    proxy: Proxy, ends: Ends, journal: Journal
) -> None:
    client, broker = ends
    client.sendall(streams.CLIENT_STREAM)
    assert received(broker, len(streams.CLIENT_STREAM)) == streams.CLIENT_STREAM

    assert proxy.cut("B") == 0
    assert proxy.cut("A") == 1
    assert proxy.cut("A") == 0

    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert broker.recv(1) == b""
    assert [c.is_open for c in proxy.connections()] == [False]
    assert [(e.kind, e.name) for e in journal.events[-2:]] == [
        ("fault", "cut"),
        ("disconnected", ""),
    ]


def test_after_a_silent_cut_bytes_vanish_and_the_sockets_stay_open(
    proxy: Proxy, ends: Ends, journal: Journal
) -> None:
    client, broker = ends
    proxy.cut("A", how="silent")

    client.sendall(streams.HEARTBEAT)
    broker.sendall(streams.HEARTBEAT)
    swallowed = wait_for(journal, "frame", 2)
    assert all(event.data["swallowed"] for event in swallowed)

    client.close()  # and the broker is not told
    broker.settimeout(0.2)
    with pytest.raises(TimeoutError):
        broker.recv(1)


def test_a_stall_begins_in_the_middle_and_ends_when_released(
    start_proxy: StartProxy, vhost: Address
) -> None:
    stall = Stall(Moment("queue.declare-ok", BROKER, nth=2), side=CLIENT)
    proxy = start_proxy(faults=[stall])
    with connected(through(vhost, proxy.open("A"))) as connection:
        channel = connection.channel()
        channel.queue_declare("q")
        channel.queue_declare("q")  # the answer still comes
        channel.basic_publish("", "q", b"late")
        assert support.count(vhost, "q") == 0

        proxy.release(stall)
        wait_until(lambda: support.count(vhost, "q") == 1, TIMEOUT_S)


def test_a_delay_can_be_added_while_it_runs_and_released(
    start_proxy: StartProxy, vhost: Address, journal: Journal
) -> None:
    proxy = start_proxy()
    with connected(through(vhost, proxy.open("A"))) as connection:
        channel = connection.channel()
        proxy.add(Delay(0.1))
        channel.queue_declare("q")
        proxy.release(Delay(0.1))
        channel.queue_delete("q")

    asked, answered, asked_again, answered_again = (
        next(event.at_s for event in journal.events if event.name == name)
        for name in ("queue.declare", "queue.declare-ok", "queue.delete", "queue.delete-ok")
    )
    assert answered - asked >= 0.1
    assert asked_again >= answered
    assert answered_again >= asked_again


def test_what_is_late_arrives_although_its_sender_has_gone(proxy: Proxy, ends: Ends) -> None:
    client, broker = ends
    proxy.add(Delay(0.3))
    client.sendall(streams.CLIENT_STREAM)
    client.close()

    assert received(broker, 100_000) == streams.CLIENT_STREAM


# Slowness and numbers


def test_a_slow_reader_is_not_read_for(ends: Ends) -> None:
    """The proxy's memory and the sockets' take some; then the writer has to wait."""
    client, broker = ends
    frame = streams.content(b"x" * 100_000)
    sent = sent_until_it_has_to_wait(client, frame)

    reader = threading.Thread(target=lambda: received(broker, sent))
    reader.start()
    reader.join(timeout=60)
    assert not reader.is_alive()
    client.sendall(frame[sent % len(frame) :])  # and it goes on


def test_a_stalled_direction_is_not_read_without_end(proxy: Proxy, ends: Ends) -> None:
    client, broker = ends
    stall = Stall(Moment("heartbeat", CLIENT), side=CLIENT)
    proxy.add(stall)
    client.sendall(streams.HEARTBEAT)
    assert received(broker, 8) == streams.HEARTBEAT
    frame = streams.content(b"x" * 100_000)
    sent = sent_until_it_has_to_wait(client, frame)

    proxy.release(stall)
    assert len(received(broker, sent)) == sent


def test_many_connections_at_once_keep_apart(start_proxy: StartProxy, vhost: Address) -> None:
    proxy = start_proxy()
    address = through(vhost, proxy.open("A"))
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with connected(address, timeout_s=TIMEOUT_S) as connection:
                channel = connection.channel()
                queue = channel.queue_declare("", exclusive=True).method.queue
                channel.confirm_delivery()
                for n in range(20):
                    channel.basic_publish("", queue, f"{number}-{n}".encode())
                got = [channel.basic_get(queue, auto_ack=True)[2] for _ in range(20)]
                assert got == [f"{number}-{n}".encode() for n in range(20)]
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(proxy.connections()) == 40


def test_leaving_the_proxy_closes_everything(server: socket.socket, journal: Journal) -> None:
    with Proxy(Upstream("127.0.0.1", server.getsockname()[1]), journal) as proxy:
        port = proxy.open("A")
        client = connect(port)
        broker, _ = server.accept()

    assert client.recv(1) == b""
    assert broker.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(port)
    assert [event.data["by"] for event in of_kind(journal, "disconnected")] == ["proxy"]
    assert threading.active_count() == len(threading.enumerate())
    assert "proxy" not in [thread.name for thread in threading.enumerate()]


def test_a_wrong_password_is_refused_as_without_the_proxy(
    start_proxy: StartProxy, vhost: Address, journal: Journal
) -> None:
    port = start_proxy().open("A")
    wrong = pika.ConnectionParameters(
        "127.0.0.1", port, vhost.vhost, pika.PlainCredentials(vhost.username, "hunter2")
    )

    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        pika.BlockingConnection(wrong)

    assert "hunter2" not in "".join(event.to_json() for event in journal.events)


def test_the_brokers_refusal_is_told_in_words(start_proxy: StartProxy, vhost: Address) -> None:
    nowhere = through(vhost, start_proxy().open("A")).in_vhost("nowhere")

    with pytest.raises(BrokerUnreachable, match="no virtual host"):
        log_in(nowhere)
