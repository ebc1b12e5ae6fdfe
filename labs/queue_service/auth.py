"""Who asks, and whether they may: from a request's headers to a `Principal`, or a refusal.

A token (JWT) comes in `Authorization`, with or without `Bearer` before it, or in the cookie
`token`; a name and a password of a lab's file as HTTP Basic. A token in the address (`?token=`),
which the known service takes, is not looked at: addresses end up in logs. The refusals are the
known words; what to do about them is the remedy. Nothing here repeats a token or a password.
"""

from __future__ import annotations

import asyncio
import base64
import threading
from binascii import Error
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.queue_service.errors import Forbidden, Overloaded
from labs.task_queue.errors import Unauthorised

if TYPE_CHECKING:
    from labs.queue_service.auth_tokens import TokenChecker
    from labs.queue_service.passwords import PasswordFile

MISSING, INVALID, EXPIRED = "Missing authentication", "Invalid token", "Expired token"
INSUFFICIENT, WRONG_PASSWORD = "Insufficient scope", "Wrong name or password"
"""The known words, and one of our own."""
TOKEN_COOKIE = b"token"
SLOW_AT_ONCE, SLOW_WAITING = 2, 64
"""So many checks that take long (a password, keys to be fetched) are made at a time, and wait."""

Headers = Iterable[tuple[bytes, bytes]]
"""As in an ASGI scope: names in lower case."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as far as it is proven."""

    subject: str
    """The token's `sub`, or its `username`; or the name that belongs to the password."""
    scopes: frozenset[str] = frozenset()
    ambient: bool = False
    """A browser sends it by itself (cookie, HTTP Basic): another page may be behind the request."""


NOBODY = Principal("")
"""Who has not been asked."""


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A token as it came."""

    text: bytes
    ambient: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """A name and a password as they came."""

    name: str
    password: str


class Authenticator:
    """Checks requests by tokens, by passwords, or by either.

    Args:
        tokens: which tokens are good; None: none is.
        passwords: the lab's password file; None: there is none.
    """

    def __init__(
        self, *, tokens: TokenChecker | None = None, passwords: PasswordFile | None = None
    ) -> None:
        self._tokens, self._passwords = tokens, passwords
        self._slow = ThreadPoolExecutor(SLOW_AT_ONCE, thread_name_prefix="authentication")
        self._flights: dict[Token | Login, Future[Principal]] = {}
        """What takes long is done once for all who bring the same."""
        self._lock = threading.Lock()

    @property
    def challenges(self) -> tuple[str, ...]:
        """What a 401 says in `WWW-Authenticate`, one header each."""
        bearer = 'Bearer realm="queue service"'
        basic = 'Basic realm="queue service", charset="UTF-8"'
        return (bearer,) * bool(self._tokens) + (basic,) * bool(self._passwords)

    def check(self, headers: Headers, need: str | None = None) -> Principal:
        """Who asks. It may take as long as a password's hash does: not for an event loop.

        Args:
            need: the scope that is needed; None: any.

        Raises:
            Unauthorised: nothing has come that shows who asks, or it counts for nothing.
            Forbidden: the scope is not among theirs.
            StoreUnreachable: the keys of tokens could not be fetched yet.
        """
        credentials = self._credentials(headers)
        principal = self._known(credentials)
        return _with_scope(self._found(credentials) if principal is None else principal, need)

    async def admit(self, headers: Headers, need: str | None = None) -> Principal:
        """As `check`, from an event loop: what takes long is done in a thread.

        Raises:
            Overloaded: too many wait for what takes long; the others as `check`.
        """
        credentials = self._credentials(headers)
        principal = self._known(credentials)
        if principal is None:
            flight = asyncio.wrap_future(self._flight(credentials))
            flight.add_done_callback(_taken_note_of)
            principal = await asyncio.shield(flight)  # others may wait for the same
        return _with_scope(principal, need)

    def close(self) -> None:
        """Look for new keys no more."""
        self._slow.shutdown(wait=False, cancel_futures=True)
        if self._tokens:
            self._tokens.close()

    def _flight(self, credentials: Token | Login) -> Future[Principal]:
        with self._lock:
            if flight := self._flights.get(credentials):
                return flight
            if len(self._flights) >= SLOW_WAITING:
                raise Overloaded(
                    "Too many passwords are being checked.",
                    retry_after_s=1.0,
                    remedy="Try again in a moment; a token is checked much faster.",
                )
            flight = self._flights[credentials] = self._slow.submit(self._found, credentials)
        flight.add_done_callback(lambda _: self._landed(credentials))
        return flight

    def _landed(self, credentials: Token | Login) -> None:
        with self._lock:
            self._flights.pop(credentials, None)

    def _credentials(self, headers: Headers) -> Token | Login:
        """What has come, if this service takes such."""
        credentials = credentials_of(headers)
        if isinstance(credentials, Token) and self._tokens is None:
            raise _missing("This service takes a name and a password (HTTP Basic), and no token.")
        if isinstance(credentials, Login) and self._passwords is None:
            raise _missing(
                "This service takes a token, and no password: `labs queue-service token`."
            )
        if credentials is None:
            raise _missing(
                "Send the header Authorization: Bearer TOKEN. One in the address is not looked at."
                if self._tokens
                else "Send a name and a password (HTTP Basic)."
            )
        return credentials

    def _known(self, credentials: Token | Login) -> Principal | None:
        """Whose they are, if that can be said at once."""
        if isinstance(credentials, Token):
            assert self._tokens
            return self._tokens.known(credentials)
        assert self._passwords
        return self._passwords.known(credentials)

    def _found(self, credentials: Token | Login) -> Principal:
        if isinstance(credentials, Token):
            assert self._tokens
            return self._tokens.check(credentials)
        assert self._passwords
        return self._passwords.check(credentials)


def credentials_of(headers: Headers) -> Token | Login | None:
    """What the headers bring: of `Authorization`, else of the cookie `token`.

    Raises:
        Unauthorised: it can't be meant.
    """
    given: list[bytes] = []
    cookies: list[bytes] = []
    for name, value in headers:
        if name == b"authorization":
            given.append(value)
        elif name == b"cookie":
            cookies += value.split(b";")
    if len(given) > 1:
        raise _missing("Two Authorization headers came: send one.")
    if given:
        return _authorization(given[0])
    tokens = {
        value.strip().strip(b'"')
        for name, _, value in (cookie.partition(b"=") for cookie in cookies)
        if name.strip() == TOKEN_COOKIE
    } - {b""}
    if len(tokens) > 1:
        raise _missing("Two cookies named token came: send one.")
    return Token(tokens.pop(), ambient=True) if tokens else None


def sent_by_own_page(headers: Headers) -> bool:
    """Whether a request that changes something was not sent by a page from elsewhere.

    A browser says which page sends it (`Sec-Fetch-Site`, else `Origin`); who says nothing is none.
    """
    said = dict(headers)
    if site := said.get(b"sec-fetch-site"):
        return site == b"same-origin"
    origin = said.get(b"origin")
    return origin is None or origin.partition(b"://")[2] == said.get(b"host")


def _authorization(value: bytes) -> Token | Login | None:
    words = value.split()
    if len(words) == 1 and words[0].lower() not in (b"bearer", b"basic"):
        return Token(words[0])
    if len(words) == 2 and words[0].lower() == b"bearer":
        return Token(words[1])
    if len(words) == 2 and words[0].lower() == b"basic":
        try:
            name, colon, password = (
                base64.b64decode(words[1], validate=True).decode().partition(":")
            )
        except (Error, UnicodeDecodeError):
            colon = ""
        if colon:
            return Login(name, password)
    if words:
        raise _missing("The Authorization header can't be read: send Authorization: Bearer TOKEN.")
    return None


def _taken_note_of(flight: asyncio.Future[Principal]) -> None:
    """Or asyncio complains of a refusal for which nobody waits any more."""
    if not flight.cancelled():
        flight.exception()


def _missing(remedy: str) -> Unauthorised:
    return Unauthorised(MISSING, remedy=remedy)


def _with_scope(principal: Principal, need: str | None) -> Principal:
    if need is None or need in principal.scopes:
        return principal
    got = tuple(sorted(principal.scopes))
    raise Forbidden(
        INSUFFICIENT,
        need=need,
        got=got,
        remedy=f"This needs the scope {need}; yours are: {', '.join(got) or 'none'}.",
    )
