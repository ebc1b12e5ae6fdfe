"""The door of the task queue's server, before any request is understood.

Whoever brings no token, too long a body, too slow a body, or an address that is no UTF-8, is
answered here: nothing of the queue has been asked, and no thread is held meanwhile. A body is
handed on whole. Each answer passes here too, is counted, and says that it must not be cached.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable, Mapping
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 16 * 1024 * 1024
BODY_WITHIN_S = 30.0
"""A body that is not there so long after its header is given up."""
OPEN = frozenset({"/api/v1/queue/health", "/openapi.json"})
"""What is answered without a token: whether it lives, and what it can do."""

LOCAL_HOSTS = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})
"""For a server that lets in whoever is on this machine: a page from elsewhere is not, though its
name may lead here (DNS rebinding)."""

Told = Callable[[str, str, int, float], None]
"""Is told of each answer: method, the path's pattern, status, seconds."""


class Gone(Exception):
    """Raised when the client has gone before its request was whole: nobody is to be answered."""


class Guard:
    """An ASGI application before another."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        max_body_bytes: int,
        body_within_s: float,
        tell: Told,
        hosts: frozenset[bytes] | None = None,
    ) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._max_body_bytes = max_body_bytes
        self._body_within_s = body_within_s
        self._tell = tell
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), (b"cache-control", b"no-store")]
                message = {**message, "headers": headers}
            await send(message)

        try:
            if refused := self._refused(scope):
                await refused(answer)
                return
            try:
                async with asyncio.timeout(self._body_within_s):
                    body = await whole_body(receive, self._max_body_bytes)
            except TimeoutError:
                await _Refused(408, "TooSlow", "The body of the request did not come in time.")(
                    answer
                )
            except TooLarge:
                await self._too_large(answer)
            else:
                await self._app(scope, handing(body, receive), answer)
        except Gone:
            status = 499
        finally:
            route = getattr(scope.get("route"), "path", "")
            self._tell(scope["method"], route, status, time.monotonic() - begun)

    def _refused(self, scope: Scope) -> _Refused | None:
        if not is_asked_for(scope, self._hosts):
            return ELSEWHERE
        headers = dict(scope["headers"])
        if (
            self._token is not None
            and scope["path"] not in OPEN
            and not hmac.compare_digest(_bearer(headers), self._token)
        ):
            return UNAUTHORISED
        try:
            for part in (scope["raw_path"], scope["query_string"]):
                unquote_to_bytes(part).decode()
        except UnicodeDecodeError:
            return NO_UTF8
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_body_bytes:
            return self._too_large
        return None

    @property
    def _too_large(self) -> _Refused:
        return _Refused(
            413,
            "TooLarge",
            f"The body of a request may have {self._max_body_bytes:,} bytes, not more.",
            "Send the tasks in several requests, or keep what is large elsewhere and put its name.",
        )


class TooLarge(Exception):
    """Raised when a body grows beyond what is allowed."""


async def whole_body(receive: Receive, max_bytes: int) -> bytes:
    """The body of a request.

    Raises:
        TooLarge: it is longer.
        Gone: the client did not send all of it.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise TooLarge
        if not message.get("more_body", False):
            return bytes(body)


class _Refused:
    """An answer that needs no application."""

    def __init__(
        self,
        status: int,
        kind: str,
        sentence: str,
        remedy: str = "Try again.",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._status = status
        self._body = json.dumps({"detail": sentence, "kind": kind, "remedy": remedy}).encode()
        more = {
            "content-type": "application/json",
            "content-length": str(len(self._body)),
            **(headers or {}),
        }
        if status in (408, 413):  # the rest of the body is still under way
            more["connection"] = "close"
        self._headers = [(name.encode(), value.encode()) for name, value in more.items()]

    async def __call__(self, send: Send) -> None:
        """Answer."""
        start = {"type": "http.response.start", "status": self._status, "headers": self._headers}
        await send(start)
        await send({"type": "http.response.body", "body": self._body})


UNAUTHORISED = _Refused(
    401,
    "Unauthorised",
    "This queue is open to those alone who bring its token.",
    "Send the header Authorization: Bearer TOKEN.",
    {"www-authenticate": 'Bearer realm="task queue"'},
)
ELSEWHERE = _Refused(
    421,
    "Elsewhere",
    "This server does not answer by the name in the header Host.",
    "Ask for it as localhost or 127.0.0.1; or let it ask for a token.",
)
NO_UTF8 = _Refused(
    400, "BadTask", "The address is no UTF-8.", "Percent-encode the UTF-8 bytes of the id."
)


def is_asked_for(scope: Scope, hosts: frozenset[bytes] | None) -> bool:
    """Whether a request names one of these hosts, the port aside; None: any will do."""
    if hosts is None:
        return True
    host = dict(scope["headers"]).get(b"host", b"").lower()
    name, colon, port = host.rpartition(b":")
    return (name if colon and port.isdigit() else host) in hosts


def _bearer(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def handing(body: bytes, receive: Receive) -> Receive:
    """Hands the body on, once; then what comes after it: that the client has gone."""
    handed = False

    async def hand() -> Message:
        nonlocal handed
        if handed:
            return await receive()
        handed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return hand
