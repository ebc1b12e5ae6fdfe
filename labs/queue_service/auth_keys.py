"""The public keys by which tokens are checked, from files, from text, and from a JWKS address.

Keys change while the service runs: a file is looked at again when it has changed, an address
every few minutes and when a token names a key that is not known. What has gone from there is
accepted no more; but a source that can't be read, or makes no sense, is an outage, in which the
last good keys stay. To look costs a request nothing: an address has a thread of its own, so it is
asked once, however many wait for the answer, and not more often than `NOT_SOONER_S`.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from labs.errors import BadInput
from labs.queue_service.keys import thumbprint

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""A file is looked at so often, at most."""
EVERY_S = 300.0
"""An address is asked so often: so long a key that was taken away may still count."""
NOT_SOONER_S = 5.0
"""And not sooner than this after the last time, whatever tokens come."""
TIMEOUT_S = 5.0
LARGEST_B = 1_000_000
PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that is accepted."""

    thumbprint: str
    kid: str | None
    """As the JWKS names it; None: of a PEM file, which names none."""
    public: Any


class Source(ABC):  # noqa: B024 - most sources have nothing of one of these
    """Where keys come from. `keys` is replaced as a whole when they change."""

    keys: tuple[Key, ...] = ()
    ready = True
    """Whether they were ever read."""

    def look(self) -> None:  # noqa: B027
        """See whether they have changed, if that takes no time."""

    @property
    def may_ask(self) -> bool:
        """Whether `ask` would look anew, rather than say what is known."""
        return False

    def ask(self) -> None:  # noqa: B027
        """Look anew, and wait for it."""

    def close(self) -> None:  # noqa: B027
        """Look no more."""


class KeyText(Source):
    """Keys as PEM text, as an environment variable has them. Raises BadInput: it has none."""

    def __init__(self, text: str, algorithm: str) -> None:
        self.keys = keys_of(text.replace("\\n", "\n").encode(), algorithm, "That text")


class KeyFile(Source):
    """Keys in a file, PEM or JWKS; it may change.

    Raises:
        BadInput: it can't be read, or has no key for the algorithm.
    """

    def __init__(self, path: Path, algorithm: str, *, look_s: float = LOOK_S) -> None:
        self._path, self._algorithm, self._look_s = path, algorithm, look_s
        self._looked = time.monotonic()
        self._seen = self._stamp()
        self._said = ""
        self.keys = self._read()
        if not self.keys:
            raise BadInput(
                f"The file {path} has no key for {algorithm}.",
                remedy="It takes public keys: PEM, or a JWKS with kty, n and e.",
            )

    def look(self) -> None:
        """Read it again if it has changed, and if it is time to look."""
        if time.monotonic() - self._looked < self._look_s:
            return
        self._looked = time.monotonic()
        stamp = self._stamp()
        if stamp == self._seen:
            return
        try:
            keys = self._read()
        except BadInput as error:
            _warn_once(self, str(error))
            return
        self._seen, self.keys, self._said = stamp, keys, ""
        log.warning("The keys in %s have changed: there are %s.", self._path, len(keys))

    def _stamp(self) -> tuple[int, int, int]:
        try:
            about = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return about.st_mtime_ns, about.st_size, about.st_ino

    def _read(self) -> tuple[Key, ...]:
        try:
            text = self._path.read_bytes()
        except OSError as error:
            raise BadInput(
                f"The keys in {self._path} can't be read: {error.strerror}.",
                remedy="Give the path of a PEM file or of a JWKS.",
            ) from error
        return keys_of(text, self._algorithm, f"The file {self._path}")


class JwksAddress(Source):
    """Keys behind an address, asked by a thread that `close` ends.

    Raises:
        BadInput: it is no http(s) address, or one with a password in it.
    """

    def __init__(
        self,
        url: str,
        algorithm: str,
        *,
        every_s: float = EVERY_S,
        not_sooner_s: float = NOT_SOONER_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url, self._algorithm = _address(url), algorithm
        self._every_s, self._not_sooner_s, self._timeout_s = every_s, not_sooner_s, timeout_s
        self._changed = threading.Condition()
        self._rounds, self._asked_at = 0, -float("inf")
        self._wanted = self._closed = False
        self._said = ""
        self.ready = False
        threading.Thread(target=self._run, name="keys of tokens", daemon=True).start()

    @property
    def may_ask(self) -> bool:
        """Whether the last time is long enough ago, or still under way."""
        return time.monotonic() - self._asked_at >= self._not_sooner_s

    def ask(self) -> None:
        """Let it be asked, together with all who want it, and wait for the answer."""
        with self._changed:
            if not self.may_ask:
                return
            before, self._wanted = self._rounds, True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._closed or self._rounds > before, self._timeout_s + LOOK_S
            )

    def close(self) -> None:
        """Let the thread end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while not self._closed:
            try:
                keys = keys_of(self._fetched(), self._algorithm, f"What {self._url} answers")
            except (httpx.HTTPError, httpx.InvalidURL, BadInput) as error:
                why = str(error) or type(error).__name__
                _warn_once(self, f"The keys at {self._url} can't be read: {why}")
                pause_s = self._not_sooner_s
            else:
                if self._said or {key.thumbprint for key in keys} != {
                    key.thumbprint for key in self.keys
                }:
                    log.warning("The keys at %s: there are %s now.", self._url, len(keys))
                self.keys, self.ready, self._said = keys, True, ""
                pause_s = self._every_s
            self._rest(pause_s)

    def _rest(self, pause_s: float) -> None:
        with self._changed:
            self._rounds += 1
            self._wanted = False
            self._asked_at = time.monotonic()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed, self._not_sooner_s)
            self._changed.wait_for(
                lambda: self._closed or self._wanted, max(0.0, pause_s - self._not_sooner_s)
            )

    def _fetched(self) -> bytes:
        here = urlsplit(self._url).hostname in ("localhost", "127.0.0.1", "::1")
        with (
            httpx.Client(timeout=self._timeout_s, trust_env=not here) as client,
            client.stream("GET", self._url) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise BadInput(f"it answers {response.status_code}.")
            body = b""
            for piece in response.iter_bytes():
                body += piece
                if len(body) > LARGEST_B:
                    raise BadInput(f"it answers more than {LARGEST_B:,} bytes.")
            return body


class Keys:
    """All sources together.

    Raises:
        BadInput: there is none.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        if not sources:
            raise BadInput(
                "It is not said by which keys tokens are checked.",
                remedy="Give a public key (PEM) or a JWKS; `labs queue-service keys` makes a pair.",
            )
        self._sources = tuple(sources)
        self._from: tuple[tuple[Key, ...], ...] = ()
        self._lock = threading.Lock()
        self.accepted: Mapping[str, Key] = {}
        """By their thumbprints."""
        self._named: Mapping[str, list[Key]] = {}
        self._unnamed: tuple[Key, ...] = ()
        self.look()

    @property
    def ready(self) -> bool:
        """Whether each source was ever read."""
        return all(source.ready for source in self._sources)

    def look(self) -> None:
        """Take up what has changed; takes no time."""
        for source in self._sources:
            source.look()
        if tuple(source.keys for source in self._sources) == self._from:
            return
        with self._lock:
            self._take_up(tuple(source.keys for source in self._sources))

    def _take_up(self, now: tuple[tuple[Key, ...], ...]) -> None:
        every = [key for keys in now for key in keys]
        named: dict[str, list[Key]] = {}
        for key in every:
            named.setdefault(key.thumbprint if key.kid is None else key.kid, []).append(key)
        self._named, self._unnamed = named, tuple(key for key in every if key.kid is None)
        self.accepted, self._from = {key.thumbprint: key for key in every}, now

    def fitting(self, kid: str | None) -> Sequence[Key]:
        """The keys that may have signed a token that names this one.

        A PEM file names none, and so may any of its keys have signed it.
        """
        return (self._named.get(kid) if kid is not None else None) or self._unnamed

    def may_ask(self, kid: str | None) -> bool:
        """Whether `ask` may bring a key that is not known."""
        return (kid is None or kid not in self._named) and any(
            source.may_ask for source in self._sources
        )

    def ask(self) -> None:
        """Look anew, and wait for it."""
        for source in self._sources:
            source.ask()
        self.look()

    def close(self) -> None:
        """Look no more."""
        for source in self._sources:
            source.close()


def source_of(given: str | Path, algorithm: str) -> Source:
    """The source that is meant: PEM text, an http(s) address of a JWKS, or a file of either.

    Raises:
        BadInput: it can't be meant, or can't be read.
    """
    text = str(given)
    if "-----BEGIN" in text:
        return KeyText(text, algorithm)
    if text.startswith(("http://", "https://")):
        return JwksAddress(text, algorithm)
    return KeyFile(Path(text), algorithm)


def keys_of(text: bytes, algorithm: str, where: str) -> tuple[Key, ...]:
    """The keys in a PEM file or a JWKS; in the latter, what is for something else is passed over.

    Raises:
        BadInput: it is neither, or a PEM file has a key that can't check tokens. What it holds
            is not said.
    """
    if text.lstrip().startswith(b"{"):
        return tuple(_of_jwks(text, algorithm, where))
    found = [_of_pem(match, algorithm, where) for match in PEM.finditer(text)]
    if not found:
        raise BadInput(
            f"{where} is neither a PEM file with a public key nor a JWKS.",
            remedy="PEM begins with -----BEGIN PUBLIC KEY-----, a JWKS with {.",
        )
    return tuple(found)


def _of_pem(match: re.Match[bytes], algorithm: str, where: str) -> Key:
    kind, block = match.group(1).decode(), match.group(0)
    if "PRIVATE" in kind:
        raise BadInput(
            f"{where} has a private key, and tokens are checked with the public one.",
            remedy="Give the public half alone; whoever has the private one can make tokens.",
        )
    try:
        if kind == "CERTIFICATE":
            public: Any = x509.load_pem_x509_certificate(block).public_key()
        else:
            public = serialization.load_pem_public_key(block)
    except (ValueError, TypeError):
        raise BadInput(
            f"{where} has a {kind.lower()} that can't be read.", remedy="Was it cut off?"
        ) from None
    if why := _unfit(public, algorithm):
        raise BadInput(f"{where}: {why}", remedy="`labs queue-service keys` makes a pair.")
    return Key(thumbprint(public, algorithm), None, public)


def _of_jwks(text: bytes, algorithm: str, where: str) -> Iterator[Key]:
    try:
        listed = json.loads(text)["keys"]
        assert isinstance(listed, list)
    except (ValueError, KeyError, AssertionError, RecursionError):
        raise BadInput(
            f"{where} is no JWKS.", remedy='Such as {"keys": [{"kty": "RSA", …}]}.'
        ) from None
    for jwk in listed:
        if not isinstance(jwk, dict) or "d" in jwk or "k" in jwk:
            continue  # no key; or a private one, or a secret, which has no place here
        if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
            continue
        kid = jwk.get("kid")
        try:
            public = jwt.PyJWK(jwk, algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if not _unfit(public, algorithm):
            named = thumbprint(public, algorithm)
            yield Key(named, kid if isinstance(kid, str) else named, public)


def _unfit(public: PublicKeyTypes | PrivateKeyTypes, algorithm: str) -> str:
    """Why a key can't check tokens of this algorithm; empty if it can."""
    kind = jwt.get_algorithm_by_name(algorithm)
    try:
        return kind.check_key_length(kind.prepare_key(public)) or ""
    except (jwt.PyJWTError, TypeError, ValueError):
        return f"it is no key for {algorithm}."


def _warn_once(source: Any, what: str) -> None:
    """Say a trouble when it begins, not with each look."""
    if what != source._said:
        log.warning("%s The keys that were known stay.", what)
    source._said = what


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = None
    if not fits or "@" in parts.netloc:
        raise BadInput(
            "The address of the JWKS can't be meant.",
            remedy="Such as https://api.example.org/keys.json, with no password in it.",
        )
    return url
