"""Which tokens are good: signed by an accepted key, with the one algorithm, for us, and not over.

PyJWT does the cryptography. The algorithm is configured, never the token's choice, and a public
key can make no token of it (`ASYMMETRIC`). A token that was found good is remembered by its
digest until it ends or its key is accepted no more: at thousands of requests a second most bring
one that was seen before. Nothing of a token is repeated in an answer or a log.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from labs.errors import BadInput
from labs.queue_service.auth import EXPIRED, INVALID, MISSING, Principal, Token
from labs.queue_service.auth_keys import Keys, source_of
from labs.queue_service.auth_reading import Key
from labs.queue_service.auth_sources import Source
from labs.queue_service.keys import ALGORITHM, ASYMMETRIC, AUDIENCE
from labs.task_queue.errors import StoreUnreachable, Unauthorised

LEEWAY_S = 5.0
"""By so much may clocks differ."""
LONGEST_B = 16_384
"""Of a token."""
REMEMBERED = 10_000
"""Tokens that were found good."""
FOR_EVER = 2**53
"""No clock goes so far."""
UNNAMED = "unnamed"
"""The subject of a token that names nobody."""


@dataclass(frozen=True, slots=True)
class _Good:
    """A token that was found good."""

    principal: Principal
    key: str
    """The thumbprint of the key that has signed it."""
    ends: float


class TokenChecker:
    """Says whose a token is.

    Args:
        keys: where the accepted keys come from: PEM text, a file (PEM or JWKS), an address
            of a JWKS; the service's own and others'.
        algorithm: with which tokens are signed.
        audience: must be among a token's `aud`. None: a token must have no `aud`.
        issuer: must be a token's `iss`; None: whoever it is.
        leeway_s: clocks may differ by so much.

    Raises:
        BadInput: the keys or the algorithm can't be meant.
    """

    def __init__(
        self,
        keys: Iterable[str | Path | Source],
        *,
        algorithm: str = ALGORITHM,
        audience: str | None = AUDIENCE,
        issuer: str | None = None,
        leeway_s: float = LEEWAY_S,
        remembered: int = REMEMBERED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if algorithm not in ASYMMETRIC:
            raise BadInput(
                f"Tokens are not checked with {algorithm!r:.40}.",
                remedy=f"Take one of {', '.join(sorted(ASYMMETRIC))}: with others, whoever can "
                "check a token can make one.",
            )
        self._algorithm, self._audience, self._issuer = algorithm, audience, issuer
        self._leeway_s, self._clock, self._most = leeway_s, clock, remembered
        self._keys = Keys(
            [one if isinstance(one, Source) else source_of(one, algorithm) for one in keys]
        )
        self._good: dict[bytes, _Good] = {}
        self._lock = threading.Lock()

    def known(self, token: Token) -> Principal | None:
        """Whose it is; None: only `check` can say, for a key may have to be fetched.

        Raises:
            Unauthorised: it counts for nothing.
        """
        self._keys.look()
        digest = hashlib.sha256(token.text).digest()
        if good := self._good.get(digest):
            if good.key in self._keys.accepted and self._clock() < good.ends:
                return _as_it_came(good.principal, token)
            with self._lock:
                self._good.pop(digest, None)
        return self._decided(token, digest, may_ask=True)

    def check(self, token: Token) -> Principal:
        """As `known`; and if its key is not known, it is looked for, which may take seconds.

        Raises:
            Unauthorised: it counts for nothing.
            StoreUnreachable: the keys could not be fetched yet.
        """
        self._keys.ask()
        if not self._keys.ready:
            raise StoreUnreachable(
                "The keys by which tokens are checked could not be fetched yet.",
                remedy="Try again in a moment. Does the address of the JWKS answer?",
            )
        principal = self._decided(token, hashlib.sha256(token.text).digest(), may_ask=False)
        assert principal
        return principal

    def close(self) -> None:
        """Look for new keys no more."""
        self._keys.close()

    def _decided(self, token: Token, digest: bytes, *, may_ask: bool) -> Principal | None:
        kid = self._kid(token.text)
        refused = _invalid("Its key (kid) is not among those that are accepted.")
        for key in self._keys.fitting(kid):
            try:
                claims = self._claims(token.text, key)
            except jwt.InvalidSignatureError:
                refused = _invalid("None of the keys that are accepted has signed it.")
            except jwt.ExpiredSignatureError:
                raise Unauthorised(
                    EXPIRED, remedy="Get a new one: `labs queue-service token`."
                ) from None
            except jwt.PyJWTError as error:
                raise _invalid(self._meaning(error)) from None
            else:
                return self._remembered(token, digest, key, claims)
        if may_ask and (not self._keys.ready or self._keys.may_ask(kid)):
            return None
        raise refused

    def _kid(self, text: bytes) -> str | None:
        if len(text) > LONGEST_B:
            raise _invalid(f"It is longer than {LONGEST_B:,} bytes.")
        if not text.isascii() or text.count(b".") != 2:
            raise Unauthorised(
                MISSING, remedy="What came is no token: it has three parts, with dots between."
            )
        try:
            header = jwt.get_unverified_header(text)
        except jwt.PyJWTError:
            raise _invalid("It can't be read.") from None
        if header.get("alg") != self._algorithm:
            raise _invalid(f"It must be signed with {self._algorithm}.")
        kid: str | None = header.get("kid")
        return kid

    def _claims(self, text: bytes, key: Key) -> dict[str, Any]:
        return jwt.decode(
            text,
            key.public,
            algorithms=[self._algorithm],
            audience=self._audience,
            issuer=self._issuer,
            leeway=self._leeway_s,
            options={"require": ["exp"]},
        )

    def _remembered(
        self, token: Token, digest: bytes, key: Key, claims: Mapping[str, Any]
    ) -> Principal:
        principal = Principal(_subject(claims), scopes_of(claims.get("scope")))
        ends = min(int(claims["exp"]), FOR_EVER) + self._leeway_s
        good = _Good(principal, key.thumbprint, ends)
        with self._lock:
            while len(self._good) >= self._most:
                del self._good[next(iter(self._good))]  # the oldest
            self._good[digest] = good
        return _as_it_came(principal, token)

    def _meaning(self, error: jwt.PyJWTError) -> str:
        """What is wrong with a token, in words that repeat nothing of it."""
        match error:
            case jwt.MissingRequiredClaimError():
                return f"It has no {error.claim}."
            case jwt.InvalidAudienceError():
                return (
                    f"It is not for this service: its aud must be {self._audience or 'left out'}."
                )
            case jwt.InvalidIssuerError():
                return f"Its issuer (iss) must be {self._issuer}."
            case jwt.ImmatureSignatureError():
                return "It is not good yet (nbf, iat). Do the clocks agree?"
            case _:
                return "It can't be read."


def scopes_of(said: object) -> frozenset[str]:
    """The scopes: of a list, or of text with blanks between."""
    if isinstance(said, str):
        return frozenset(said.split())
    if isinstance(said, list):
        return frozenset(one for one in said if isinstance(one, str))
    return frozenset()


def _subject(claims: Mapping[str, Any]) -> str:
    for name in ("sub", "username"):
        if isinstance(said := claims.get(name), str | int) and str(said):
            return str(said)
    return UNNAMED


def _as_it_came(principal: Principal, token: Token) -> Principal:
    if not token.ambient:
        return principal
    return Principal(principal.subject, principal.scopes, ambient=True)


def _invalid(remedy: str) -> Unauthorised:
    return Unauthorised(INVALID, remedy=remedy)
