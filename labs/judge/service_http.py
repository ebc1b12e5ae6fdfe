"""HTTP as the judge speaks it: requests read whole, answers written, connections cut.

A server for a handful of clients on loopback, a thread a connection. What a request means
and what becomes of it is `labs.judge.service_door`'s; `hand_on` asks the real service.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import urlsplit

HAND_ON_S = 20.0
"""So long the service itself may take."""
BODY_MOST = 1_000_000
ONE_LINK = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})
"""Headers that are about one connection, and not about the message."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the service said to one."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def told(self) -> Mapping[str, Any]:
        """What the journal keeps of it."""
        retry_after = next((v for k, v in self.headers if k.lower() == "retry-after"), "")
        said = members(self.body)
        return {
            "status": self.status,
            "created": said.get("created") is True,
            "replayed": said.get("replayed") is True,
            "retry_after_s": float(retry_after) if retry_after.isdigit() else None,
        }


def busy_answer(for_s: int) -> Answer:
    """What a service says that has too much to do, in the words of the real one."""
    detail = f"More requests wait than can be answered in time. Try again after {for_s} s."
    body = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": detail}
    headers = [("Content-Type", "application/problem+json"), ("Retry-After", str(for_s))]
    return Answer(503, headers, json.dumps(body).encode())


def members(body: bytes) -> Mapping[str, Any]:
    """The members of a JSON object; none where it is something else."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def hand_on(url: str, asked: Asked) -> Answer | None:
    """What the service at `url` says to a request; None: it is away."""
    at = urlsplit(url)
    headers = {k: v for k, v in asked.headers.items() if k not in ONE_LINK}
    service = HTTPConnection(at.hostname or "", at.port, timeout=HAND_ON_S)
    try:
        service.request(asked.method, asked.path, asked.body or None, headers)
        said = service.getresponse()
        return Answer(said.status, said.getheaders(), said.read())
    except (OSError, HTTPException):
        return None
    finally:
        service.close()


class Link(Protocol):
    """A client's connection, as far as an exchange needs it."""

    def give(self, answer: Answer) -> None:
        """Send the answer."""

    def cut(self) -> None:
        """Reset the connection."""


class Serves(Protocol):
    """Who serves the requests."""

    def serve(self, asked: Asked, link: Link) -> None:
        """Serve one, in its connection's thread."""

    def entered(self, connection: socket.socket) -> None:
        """A client has connected."""

    def left(self, connection: socket.socket) -> None:
        """It is gone."""


class Server(ThreadingHTTPServer):
    """Listens, and closes connections as they were left."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def shutdown_request(self, request: Any) -> None:
        """Close it at once: what was set for a reset must not become an orderly end."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is no error of ours."""


def handler_of(door: Serves) -> type[BaseHTTPRequestHandler]:
    """What serves a connection, by asking this door."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "queue-service", ""
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            door.entered(self.connection)

        def finish(self) -> None:
            try:
                super().finish()
            finally:
                door.left(self.connection)

        def __getattr__(self, name: str) -> object:
            """Whatever the method: `do_POST` and the like."""
            if name.startswith("do_"):
                return self.serve
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:  # it is all in the journal
            pass

        def serve(self) -> None:
            try:
                body = self._body()
            except ValueError as error:
                self.send_error(400, str(error))
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            door.serve(Asked(self.command, self.path, headers, body), self)

        def _body(self) -> bytes:
            if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
                return self._chunks()
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 <= length <= BODY_MOST:
                raise ValueError("The body is too long for an order.")
            body = self.rfile.read(length)
            if len(body) < length:
                raise ConnectionError("The client is gone in the middle of its request.")
            return body

        def _chunks(self) -> bytes:
            read = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                if len(read) + size > BODY_MOST:
                    raise ValueError("The body is too long for an order.")
                read += self.rfile.read(size)
                if not self.rfile.readline():
                    raise ConnectionError("The client is gone in the middle of its request.")
            while self.rfile.readline().strip():  # trailers
                pass
            return read

        def give(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers:
                if name.lower() not in ONE_LINK | {"date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def cut(self) -> None:
            with suppress(OSError):  # it is gone
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            self.close_connection = True

    return Handler
