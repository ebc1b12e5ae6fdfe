"""Names and passwords of a lab, in a file: one line each, `name:scopes:hash`.

The hashes are argon2's, so the file gives nobody a password; it is still its owner's alone. A
check costs tens of milliseconds on purpose. So what has come of one is remembered for a minute,
by a digest that means nothing outside of this process. A name that is not in the file takes as
long as one that is. A file that has changed is read again; one that makes no sense then leaves
all as it was.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError

from labs.errors import BadInput
from labs.queue_service.auth import WRONG_PASSWORD, Login, Principal
from labs.queue_service.keys import write_new
from labs.task_queue.errors import Unauthorised

log = logging.getLogger(__name__)

REMEMBER_S = 60.0
REMEMBERED = 1000
LOOK_S = 1.0
"""The file is looked at so often, at most."""
LONGEST_PASSWORD = 1024
"""Characters."""
NAME = re.compile(r"[^\s:#][^:\x00-\x1f\x7f]{0,127}")
SCOPE = re.compile(r"[!-+\--9;-~]+")
"""No blank, comma or colon."""


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One line of the file."""

    scopes: frozenset[str]
    hash: str


class PasswordFile:
    """A password file; it may change.

    Raises:
        BadInput: it can't be read, or a line of it can't be meant.
    """

    def __init__(
        self,
        path: Path,
        *,
        remember_s: float = REMEMBER_S,
        look_s: float = LOOK_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._remember_s, self._look_s = path, remember_s, look_s
        self._clock, self._looked = clock, clock()
        self._secret = secrets.token_bytes(32)
        self._checking = threading.Lock()
        """Held by who computes a hash: each takes 64 MiB."""
        self._seen = self._stamp()
        self._take_up(entries_of(path))
        _warn_if_open(path)

    def known(self, login: Login) -> Principal | None:
        """Whose the password is, if that was checked a moment ago; None: `check` it.

        Raises:
            Unauthorised: it was wrong a moment ago.
        """
        self._look()
        until, principal = self._remembered.get(self._digest(login), (0.0, None))
        if self._clock() >= until:
            return None
        if principal is None:
            raise _wrong()
        return principal

    def check(self, login: Login) -> Principal:
        """Whose the password is; takes as long as the hash does.

        Raises:
            Unauthorised: the name is not in the file, or the password is another.
        """
        with self._checking:
            if principal := self.known(login):  # whoever was before us has found it
                return principal
            entries, remembered = self._entries, self._remembered
            entry = entries.get(login.name)
            good = self._verified(entry, login.password)
            principal = Principal(login.name, entry.scopes, True) if entry and good else None
            while len(remembered) >= REMEMBERED:
                del remembered[next(iter(remembered))]
            remembered[self._digest(login)] = (self._clock() + self._remember_s, principal)
        if principal is None:
            raise _wrong()
        return principal

    def _verified(self, entry: Entry | None, password: str) -> bool:
        """Whether it is the password. Without an entry as much is computed, and it is not."""
        if len(password) > LONGEST_PASSWORD:
            return False
        with suppress(Argon2Error):
            return PasswordHasher().verify(entry.hash if entry else self._nobodys, password)
        return False

    def _look(self) -> None:
        if self._clock() - self._looked < self._look_s:
            return
        self._looked = self._clock()
        seen, self._seen = self._seen, self._stamp()
        if self._seen == seen:
            return
        try:
            self._take_up(entries_of(self._path))
        except BadInput as error:
            log.warning("%s The passwords that were known stay.", error)

    def _take_up(self, entries: Mapping[str, Entry]) -> None:
        hashes = [entry.hash for entry in entries.values()]
        hasher = PasswordHasher()
        if hashes:
            hasher = PasswordHasher.from_parameters(extract_parameters(hashes[0]))
        self._nobodys = hasher.hash(secrets.token_hex(16))
        self._remembered: dict[bytes, tuple[float, Principal | None]] = {}
        self._entries = entries

    def _stamp(self) -> tuple[int, int, int]:
        try:
            about = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return about.st_mtime_ns, about.st_size, about.st_ino

    def _digest(self, login: Login) -> bytes:
        text = f"{login.name}\0{login.password}".encode(errors="surrogatepass")
        return hashlib.blake2b(text, key=self._secret, digest_size=32).digest()


def entries_of(path: Path) -> dict[str, Entry]:
    """What stands in a password file.

    Raises:
        BadInput: it can't be read, or a line of it can't be meant; the line is not repeated.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise BadInput(
            f"The password file {path} can't be read: {why}.",
            remedy="`labs queue-service password NAME` makes it.",
        ) from error
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.partition(":")
        scopes, _, hashed = rest.partition(":")
        try:
            extract_parameters(hashed.strip())
        except InvalidHashError:
            hashed = ""
        if not NAME.fullmatch(name) or not hashed or name in entries:
            what = "has a name for the second time" if name in entries else "can't be meant"
            raise BadInput(
                f"Line {number} of the password file {path} {what}.",
                remedy="A line is name:scopes:hash, the hash argon2's; "
                "`labs queue-service password NAME` writes it.",
            )
        entries[name] = Entry(frozenset(re.split(r"[,\s]+", scopes)) - {""}, hashed.strip())
    return entries


def put_password(path: Path, name: str, scopes: Iterable[str], password: str) -> bool:
    """Write a name's entry, in place of its old one; whether there was one.

    Raises:
        BadInput: a name, a scope or the password can't be meant, or the file can't be used.
    """
    scopes = tuple(scopes)
    if not NAME.fullmatch(name):
        raise BadInput(
            f"{name!r:.80} can't be a name here.",
            remedy="Take 1 to 128 characters, without a colon, and no blank or # to begin with.",
        )
    for scope in scopes:
        if not SCOPE.fullmatch(scope):
            raise BadInput(f"{scope!r:.80} is no scope.", remedy="Such as sdapi or worker.")
    if not 1 <= len(password) <= LONGEST_PASSWORD:
        raise BadInput(
            f"A password has 1 to {LONGEST_PASSWORD} characters.", remedy="Take another one."
        )
    line = f"{name}:{','.join(scopes)}:{PasswordHasher().hash(password)}"
    return _rewritten(path, name, line)


def remove_password(path: Path, name: str) -> bool:
    """Take a name out of the file; whether it was there. Raises BadInput as `entries_of`."""
    return path.exists() and _rewritten(path, name, None)


def _rewritten(path: Path, name: str, line: str | None) -> bool:
    """Write the file anew with one line changed; comments and the other lines stay."""
    there = name in entries_of(path) if path.exists() else False
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    lines = [one for one in before if one.partition(":")[0] != name]
    text = "".join(f"{one}\n" for one in [*lines, *([line] if line else [])])
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        write_new(beside, text.encode(), mode=0o600)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise BadInput(
            f"The password file {path} can't be written: {error.strerror}.",
            remedy="Is its folder there, and yours?",
        ) from error
    return there


def _warn_if_open(path: Path) -> None:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning(
            "Others can read the password file %s, and try passwords at leisure. "
            "Let it be its owner's alone: chmod 600.",
            path,
        )


def _wrong() -> Unauthorised:
    return Unauthorised(
        WRONG_PASSWORD, remedy="Look for a slip. `labs queue-service password NAME` sets a new one."
    )
