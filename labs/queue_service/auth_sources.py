"""Where the public keys come from by which tokens are checked: text, or a file that may change.

A source is looked at with each request, which must take no time: a file is looked at once a
second, and read again when it has changed. What makes no sense then, or is gone, is an outage, in
which the keys that were known stay; it is said once. `auth_jwks` is a source with an address.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from labs.errors import BadInput
from labs.queue_service.auth_reading import Key, keys_of

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""A file is looked at so often, at most."""


class Source:
    """Where keys come from. `keys` is replaced as a whole when they change."""

    keys: tuple[Key, ...] = ()
    ready = True
    """Whether they were ever read."""
    _said = ""

    def look(self) -> None:
        """See whether they have changed, if that takes no time."""

    @property
    def may_ask(self) -> bool:
        """Whether `ask` would look anew, rather than say what is known."""
        return False

    def ask(self) -> None:
        """Look anew, and wait for it."""

    def close(self) -> None:
        """Look no more."""

    def _outage(self, what: str) -> None:
        """Say a trouble when it begins, not with each look."""
        if what != self._said:
            log.warning("%s The keys that were known stay.", what)
        self._said = what

    def _found(self, keys: tuple[Key, ...], where: str) -> None:
        """These are the keys now."""
        if keys != self.keys:
            log.warning("There are %s keys of tokens now in %s.", len(keys), where)
            self.keys = keys
        self.ready, self._said = True, ""


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
            self._outage(str(error))
            return
        self._seen = stamp
        self._found(keys, str(self._path))

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
