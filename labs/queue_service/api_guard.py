"""The door of the queue service's server: who comes in, with what, and how often.

Before any request is understood it is known who sends it (401, 403), and that no page from
elsewhere lets their browser do it (403); they have not sent too many (429); and its body is whole
(408), JSON by its name (415), and not too long (413).
Nothing of the queue has been asked until then.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.types import Receive, Scope

from labs.queue_service.api_desk import Asked
from labs.queue_service.api_routes import PREFIX, Route
from labs.queue_service.auth import NOBODY, Authenticator, Principal, sent_by_own_page
from labs.queue_service.limits import RateLimit
from labs.queue_service.problems import Problem, Refused
from labs.task_queue.api_guard import BODY_WITHIN_S, TooLarge, is_asked_for, whole_body

MAX_BODY_BYTES = 10 * 1024 * 1024
"""As the known service."""
LARGE_B = 64 * 1024
"""A body that is longer takes long to be read."""
_JSON = b"application/json"
CLOSE = (("Connection", "close"),)
"""After a refusal that leaves some of the body under way."""


@dataclass(frozen=True)
class Limits:
    """How much a request may be."""

    max_body_bytes: int = MAX_BODY_BYTES
    """A longer body is answered with 413."""
    body_within_s: float = BODY_WITHIN_S
    """A body that takes longer to arrive is answered with 408."""
    rate: RateLimit | None = None
    """How many one principal may send; where nobody is known, one address."""
    hosts: frozenset[bytes] | None = None
    """By which names the server may be asked for, ports aside; None: any."""

    def count(self, principal: Principal, scope: Scope) -> None:
        """Count a request of somebody. Raises Overloaded: it is one too many."""
        if self.rate is not None:
            address = (scope.get("client") or ("",))[0]
            self.rate.take(principal.subject or address, time.monotonic())


class Guard:
    """Lets requests in.

    Args:
        authenticator: None: whoever can reach the server may do all.
    """

    def __init__(self, authenticator: Authenticator | None, limits: Limits) -> None:
        self._authenticator, self._limits = authenticator, limits

    def elsewhere(self, scope: Scope) -> Problem | None:
        """Why a request is not for this server; None: it is."""
        return None if is_asked_for(scope, self._limits.hosts) else _ELSEWHERE

    async def known(self, route: Route, scope: Scope) -> Principal:
        """Who asks for this, if they may.

        Raises:
            Unauthorised, Forbidden, Overloaded: they may not, or not now.
            Refused: a browser sends it for a page from elsewhere.
        """
        principal = NOBODY
        if self._authenticator is not None and not _open(route, scope):
            principal = await self._authenticator.admit(scope["headers"], route.scope)
        by_itself = self._authenticator is None or principal.ambient
        if route.bodies and by_itself and not sent_by_own_page(scope["headers"]):
            raise Refused(_ANOTHERS_PAGE)
        if not route.open:
            self._limits.count(principal, scope)
        return principal

    async def let_in(self, route: Route, scope: Scope, receive: Receive) -> Asked:
        """The request, whole.

        Raises:
            Refused: its body is too long, too slow, or no JSON by its name; and as `known`.
            BadRequest: it is long, and no JSON.
            Gone: the client did not wait.
        """
        principal = await self.known(route, scope)
        body = b""
        if route.bodies:
            headers = dict(scope["headers"])
            kind = headers.get(b"content-type", _JSON)
            if kind != _JSON and kind.split(b";")[0].strip().lower() != _JSON:
                raise Refused(_NO_JSON)
            body = await self.body(headers.get(b"content-length", b""), receive)
        asked = Asked(scope, receive, principal, body)
        if len(body) > LARGE_B:
            await asyncio.to_thread(asked.json)  # meanwhile others are answered
        return asked

    async def body(self, length: bytes, receive: Receive) -> bytes:
        """What a request brings. Raises Refused: it is too long, or too slow; Gone."""
        most = self._limits.max_body_bytes
        if length.isdigit() and int(length) > most:
            raise Refused(_too_large(most))
        try:
            async with asyncio.timeout(self._limits.body_within_s):
                return await whole_body(receive, most)
        except TooLarge:
            raise Refused(_too_large(most)) from None
        except TimeoutError:
            raise Refused(_TOO_SLOW) from None


def _open(route: Route, scope: Scope) -> bool:
    """Whether nobody is asked who they are."""
    if route.open or not route.open_here:
        return route.open
    try:
        near = ip_address((scope.get("client") or ("",))[0]).is_loopback
    except ValueError:
        near = False
    # A proxy on this machine stands for somebody elsewhere.
    return near and not any(name in _BY_A_PROXY for name, _ in scope["headers"])


_BY_A_PROXY = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})

_ELSEWHERE = Problem(
    421,
    "Elsewhere",
    "This server does not answer by the name in the header Host.",
    "Ask for it as localhost or 127.0.0.1; or let it ask who comes, by tokens or passwords.",
)
_ANOTHERS_PAGE = Problem(
    403,
    "AnothersPage",
    "A page from elsewhere has let a browser send this.",
    "Send it from a program, or with a token in the header Authorization.",
    headers=CLOSE,
)
_TOO_SLOW = Problem(
    408, "TooSlow", "The body of the request did not come in time.", "Try again.", headers=CLOSE
)
_NO_JSON = Problem(
    415,
    "NoJson",
    "The body of a request is JSON here.",
    "Send the header Content-Type: application/json.",
    headers=CLOSE,
)


def _too_large(most: int) -> Problem:
    return Problem(
        413,
        "TooLarge",
        f"The body of a request may have {most:,} bytes, not more.",
        "Keep what is large elsewhere, and send its name.",
        headers=CLOSE,
    )


def no_such_path() -> Problem:
    """What is said of a path that is none."""
    return Problem(
        404,
        "NoSuchPath",
        "There is no such path.",
        f"All are under {PREFIX}; the document at /openapi.json says what there is.",
    )


def no_such_method(allowed: str) -> Problem:
    """What is said of a method that a path does not have."""
    return Problem(
        405,
        "NoSuchMethod",
        f"Here is only {allowed}.",
        "The document at /openapi.json says what there is.",
        headers=(("Allow", allowed),),
    )
