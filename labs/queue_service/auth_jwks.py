"""Public keys behind an address (JWKS), by which others sign and change their keys as they like.

A thread asks the address every few minutes, and at once when a token names a key that is not
known: one question, however many tokens there are, and not sooner than `NOT_SOONER_S` after the
last. What is no longer in the answer is accepted no more; while there is none that makes sense,
the last good one stays.
"""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

import httpx

from labs.errors import BadInput
from labs.queue_service.auth_reading import keys_of
from labs.queue_service.auth_sources import Source

EVERY_S = 300.0
"""So long a key that was taken away may still count."""
NOT_SOONER_S = 5.0
TIMEOUT_S = 5.0
LARGEST_B = 1_000_000


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
                lambda: self._closed or self._rounds > before, 2 * self._timeout_s
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
            except Exception as error:  # noqa: BLE001 - whatever it is, the next time may be better
                why = str(error) or type(error).__name__
                self._outage(f"The keys at {self._url} can't be read: {why}")
                pause_s = self._not_sooner_s
            else:
                self._found(keys, self._url)
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
        give_up_at = time.monotonic() + self._timeout_s
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
                if time.monotonic() > give_up_at:
                    raise BadInput(f"it takes longer than {self._timeout_s:g} s.")
                if len(body) > LARGEST_B:
                    raise BadInput(f"it answers more than {LARGEST_B:,} bytes.")
            return body


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
