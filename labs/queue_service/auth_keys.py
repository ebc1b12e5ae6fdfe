"""All keys by which tokens are checked, from all sources together: which may have signed a token.

`Keys` is looked at with each request. What a source has no more is accepted no more, and a token
that was found good by it counts for nothing from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from labs.errors import BadInput
from labs.queue_service.auth_jwks import JwksAddress
from labs.queue_service.auth_reading import Key
from labs.queue_service.auth_sources import KeyFile, KeyText, Source


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
