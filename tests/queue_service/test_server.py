"""The server by itself: how connections begin and end, whatever is served.

The clients are plain sockets, so that each way in which a connection can end shows.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.types import Receive, Scope, Send

from labs.errors import BadInput
from labs.queue_service import server_connections
from labs.queue_service.server import serving
from labs.waiting import wait_until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = b"x" * 3_000_000
HUGE = b"x" * 40_000_000
"""Much more than the kernel keeps for a connection."""


class App:
    """Answers `OK`; to /slow when it is let, to /long with much, to /refuse without reading."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.let = threading.Event()
        self.slow = 0

    def stop(self) -> None:
        """Remember that it was told."""
        self.stopped.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        body = {"/long": LONG, "/huge": HUGE}.get(scope["path"], b"OK")
        if scope["path"] == "/slow":
            self.slow += 1
            while not self.let.is_set():
                await asyncio.sleep(0.01)
        headers = [(b"content-length", str(len(body)).encode())]
        if scope["path"] == "/refuse":
            headers.append((b"connection", b"close"))
        elif scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Server:
    """Where it is, and how it is stopped."""

    app: App
    port: int
    stop: Callable[[], None] = field(repr=False)
    """Asks it to stop; returns at once."""


@contextmanager
def served(**options: Any) -> Iterator[Server]:
    """A server that ends with the block, or before."""
    app, stopping, there = App(), threading.Event(), threading.Event()
    ports: list[int] = []

    def run() -> None:
        with serving(app, **options) as url:
            ports.append(urlsplit(url).port or 0)
            there.set()
            stopping.wait()

    thread = threading.Thread(target=run)
    thread.start()
    assert there.wait(20)
    try:
        yield Server(app, ports[0], stopping.set)
    finally:
        app.let.set()
        stopping.set()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def server() -> Iterator[Server]:
    """One that is patient."""
    with served() as one:
        yield one


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def answer(line: socket.socket) -> tuple[bytes, bytes]:
    """The header and the body of one answer; both empty if there is none."""
    said = b""
    while b"\r\n\r\n" not in said:
        part = line.recv(65536)
        if not part:
            assert not said, "half an answer"
            return b"", b""
        said += part
    header, _, body = said.partition(b"\r\n\r\n")
    length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        part = line.recv(65536)
        assert part, "half a body"
        body += part
    return header.lower(), body


def is_closed(server: Server) -> bool:
    """Whether its port is."""
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=0.1).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    return False


def test_a_connection_has_one_answer_more_when_the_port_is_closed_and_it_says_so(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connections, "QUIET_S", 10.0)
    with connected(server) as line:
        line.sendall(REQUEST)
        header, body = answer(line)
        assert body == b"OK"
        assert b"connection: close" not in header
        server.stop()
        wait_until(lambda: is_closed(server), 10, what="the port to close")

        line.sendall(REQUEST)
        header, body = answer(line)

        assert body == b"OK"
        assert b"connection: close" in header
        assert line.recv(1) == b""


def test_what_is_under_way_is_answered_whole_and_what_is_idle_is_closed(server: Server) -> None:
    with connected(server) as busy, connected(server) as idle, connected(server) as silent:
        busy.sendall(REQUEST.replace(b"/ ", b"/slow ", 1))
        idle.sendall(REQUEST)
        answer(idle)
        wait_until(lambda: server.app.slow == 1, 10, what="it to be asked")

        server.stop()

        assert idle.recv(1) == b""
        assert silent.recv(1) == b""
        server.app.let.set()
        header, body = answer(busy)
        assert body == b"OK"
        assert b"connection: close" in header


def test_a_long_answer_that_is_read_slowly_arrives_whole_though_the_server_stops(
    server: Server,
) -> None:
    with connected(server) as line:
        line.sendall(REQUEST.replace(b"/ ", b"/long ", 1))
        begin = line.recv(1000)
        server.stop()
        assert server.app.stopped.wait(10)
        rest = b"".join(iter(lambda: line.recv(65536), b""))
        assert (begin + rest).endswith(LONG)


def test_who_reads_slowly_is_waited_for_though_it_takes_longer_than_one_lingers(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connections, "LINGER_S", 0.4)
    with connected(server) as line:
        line.sendall(b"GET /huge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        read = 0
        while part := line.recv(2_000_000, socket.MSG_WAITALL):
            read += len(part)
            threading.Event().wait(0.05)  # as one who has much to do with each part
        assert read > len(HUGE)


def test_an_answer_before_the_end_of_a_body_is_not_lost_with_the_rest_of_the_body(
    server: Server,
) -> None:
    with connected(server) as line:
        line.sendall(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n")
        line.sendall(LONG)
        assert answer(line)[1] == b"OK"
        assert line.recv(1) == b""


@dataclass
class Hammer:
    """Clients that go on until the port is closed, and how each of their connections ended."""

    server: Server
    ends: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def go_on(self, *, keep: bool) -> None:
        """Connect and ask, again and again."""
        while not self.over.is_set():
            try:
                line = connected(self.server)
            except ConnectionRefusedError:
                self.ends["refused"] += 1
                return
            with line:
                try:
                    self.ends[self._ask(line, keep)] += 1
                except OSError as error:
                    self.ends[type(error).__name__] += 1

    def _ask(self, line: socket.socket, keep: bool) -> str:
        while True:
            line.sendall(REQUEST)
            header, body = answer(line)
            if body != b"OK":
                return "closed unanswered"
            self.answered += 1
            if b"connection: close" in header or not keep:
                return "good"


@pytest.mark.usefixtures("doors_can_be_deafened")
def test_who_hammers_while_it_stops_is_answered_or_refused_and_never_cut_off() -> None:
    for _ in range(3):
        with served() as server, ExitStack() as stack:
            hammer = Hammer(server)
            stack.callback(hammer.over.set)
            clients = [
                threading.Thread(target=hammer.go_on, kwargs={"keep": n < 4}) for n in range(12)
            ]
            for client in clients:
                client.start()
            wait_until(lambda: hammer.answered > 500, 20, what="load")  # noqa: B023
            server.stop()
            for client in clients:
                client.join(20)
            assert hammer.ends.keys() == {"good", "refused"}
            assert hammer.ends["refused"] == len(clients)


def test_a_connection_on_which_nobody_speaks_is_closed() -> None:
    with (
        served(silent_s=0.2) as server,
        connected(server) as half,
        connected(server) as later,
        connected(server) as spoken,
    ):
        half.sendall(REQUEST[:9])
        for line in (later, spoken):
            line.sendall(REQUEST)
            assert answer(line)[1] == b"OK"
        later.sendall(REQUEST[:9])
        assert half.recv(1) == b""
        assert later.recv(1) == b""
        spoken.sendall(REQUEST)
        assert answer(spoken)[1] == b"OK"


def test_https_is_spoken_and_what_is_under_way_is_answered_there_too(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with (
        served(certificate=certificate, key=key) as server,
        connected(server) as plain,
        trusting.wrap_socket(plain, server_hostname="localhost") as line,
    ):
        line.sendall(REQUEST)
        assert answer(line)[1] == b"OK"
        line.sendall(REQUEST.replace(b"/ ", b"/slow ", 1))
        wait_until(lambda: server.app.slow == 1, 10, what="it to be asked")
        server.stop()
        assert server.app.stopped.wait(10)
        server.app.let.set()
        assert answer(line)[1] == b"OK"
        assert line.recv(1) == b""
    with (
        pytest.raises(BadInput, match="can't be used"),
        serving(App(), certificate=key, key=certificate),
    ):
        pass


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost, and its key."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def test_a_port_that_another_has_is_said_in_a_sentence(server: Server) -> None:
    with (
        pytest.raises(BadInput, match=r"queue service's server can't listen on .*already in use"),
        serving(App(), port=server.port),
    ):
        pass
