"""One HTTP call of a client: sent, sent again where that is safe, understood.

What the server refuses is raised as the class that its `Dialect` makes of the answer. Whatever
comes from elsewhere (nobody listens, a proxy's page, another server) is raised in words of our
own. A server that says when to come again (Retry-After) is not asked before.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from labs.errors import BadInput, LabError
from labs.task_queue.errors import StoreUnfit, StoreUnreachable, Unauthorised
from labs.task_queue.forks import OfProcess
from labs.task_queue.tasks import Json

PAUSES_S = (0.1, 0.4, 1.6)
"""Between one try and the next."""
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
NOT_DONE, OPEN = frozenset({408, 429}), frozenset({502, 503, 504})
"""Statuses after which the verb was not carried out, or may have been."""
LONGEST_PAUSE_S = 30.0
"""Who is asked to come again later than that is told so, and does not wait."""
OPEN_REMEDY = "Whether it was carried out is open: look, or try again."


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a service is called, and what its refusals mean."""

    service: str
    """Such as `task queue`."""
    client: str
    """The class with which it is asked."""
    command: str
    """What starts a server of it."""
    refusal: Callable[[int, Mapping[str, Any], float], LabError | None]
    """(status, what the answer says, seconds of its Retry-After) -> the error. None, or a KeyError,
    TypeError or ValueError: it is not this service that speaks so."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said."""

    status: int
    value: Any
    """What the call has read in the answer."""
    next: str | None = None
    """Where the next page begins."""
    repeated: bool = False
    """An earlier try had no answer, and may have been carried out."""


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask. `again`: twice is as good as once."""

    method: str
    path: str
    again: bool
    query: Mapping[str, str | int | float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    """JSON text."""
    wait_s: float = 0.0
    """So long the server may take on purpose."""
    expected: tuple[int, ...] = ()
    """Statuses that are no error here."""
    reads: Callable[[int, Json], Any] = lambda _, said: said
    """(status, the answer) -> what it means. KeyError, TypeError, ValueError: this service does
    not speak so."""


class Link:
    """The way to one server; may be used by many threads."""

    def __init__(
        self,
        base_url: str,
        dialect: Dialect,
        *,
        authorization: str | None,
        timeout_s: float,
        retries: int,
        verify: ssl.SSLContext | bool,
    ) -> None:
        self.base_url = base_url
        self._dialect = dialect
        self._timeout_s = timeout_s
        self._pauses_s = PAUSES_S[:retries]
        headers = {} if authorization is None else {"Authorization": sendable(authorization)}
        if not base_url.startswith("https:"):
            verify = False  # nothing to verify: spare the 0.2 s in which certificates are read
        here = urlsplit(base_url).hostname in ("localhost", "127.0.0.1", "::1")
        self._http = OfProcess(
            lambda: httpx.Client(
                headers=headers,
                timeout=timeout_s,
                verify=verify,
                trust_env=not here,  # a proxy of the house is no way to a server on this machine
            )
        )

    def close(self) -> None:
        """Close the connections."""
        if made := self._http.made():
            made.close()

    def ask(self, call: Call) -> Reply:
        """Ask, and ask again where that is safe.

        Raises:
            LabError: what the server refuses, by its class; StoreUnreachable: it does not
                answer, or not yet; StoreUnfit: what answers there is another service.
        """
        repeated = False
        for pause_s in (*self._pauses_s, None):
            failed: LabError
            asked_for_s = 0.0
            try:
                response = self._sent(call)
            except NEVER_SENT as error:
                remedy = f"Is it running there? `{self._dialect.command}` starts one."
                failed, safe = self._unreachable(error, remedy), True
            except httpx.RequestError as error:
                failed, safe = self._unreachable(error, OPEN_REMEDY), call.again
                repeated = True
            else:
                if response.status_code not in NOT_DONE | OPEN:
                    return self._understood(response, call, repeated)
                failed = self._refusal(response)
                safe = call.again or response.status_code in NOT_DONE
                repeated = repeated or response.status_code in OPEN
                asked_for_s = _retry_after_s(response)
            if pause_s is None or not safe or asked_for_s > LONGEST_PAUSE_S:
                raise failed
            time.sleep(max(pause_s, asked_for_s))
        raise AssertionError("the last try returns or raises")

    def _sent(self, call: Call) -> httpx.Response:
        kind = {} if call.body is None else {"Content-Type": "application/json"}
        return self._http().request(
            call.method,
            self.base_url + call.path,
            params=dict(call.query) or None,
            content=call.body,
            headers={**kind, **call.headers},
            timeout=httpx.Timeout(self._timeout_s, read=self._timeout_s + call.wait_s),
        )

    def _understood(self, response: httpx.Response, call: Call, repeated: bool) -> Reply:
        if not (response.is_success or response.status_code in call.expected):
            raise self._refusal(response)
        try:
            value = call.reads(response.status_code, json.loads(response.content))
        except LabError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError):
            raise self._no_queue(response) from None
        link = response.links.get("next", {}).get("url", "")
        after = parse_qs(urlsplit(link).query, keep_blank_values=True).get("after")
        return Reply(response.status_code, value, after[0] if after else None, repeated)

    def _refusal(self, response: httpx.Response) -> LabError:
        status = response.status_code
        try:
            said = json.loads(response.content)
            error = self._dialect.refusal(status, said, _retry_after_s(response))
        except (ValueError, TypeError, KeyError):
            if status in NOT_DONE | OPEN:
                return self._down(f"what stands before it answers {status}")
            return self._no_queue(response)
        return error or self._no_queue(response)

    def _unreachable(self, error: httpx.RequestError, remedy: str) -> StoreUnreachable:
        why = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
        return self._down(why[:1].lower() + why[1:].rstrip("."), remedy)

    def _down(self, why: str, remedy: str = OPEN_REMEDY) -> StoreUnreachable:
        return StoreUnreachable(
            f"The {self._dialect.service}'s server at {self.base_url} does not answer: {why}.",
            remedy=remedy,
        )

    def _no_queue(self, response: httpx.Response) -> LabError:
        if response.status_code == 401:
            return Unauthorised(
                f"{self.base_url} wants a token.",
                remedy=f"Give {self._dialect.client} the right token=….",
            )
        return StoreUnfit(
            f"What answers at {self.base_url} is no {self._dialect.service}, or an older one "
            f"({response.status_code} for {response.request.method} "
            f"{response.request.url.path!r:.200}).",
            remedy="Look at the address; if the service is under a path, that belongs to it.",
        )


def sendable(authorization: str) -> str:
    """A header's value, as it can be sent; a line break at its end, as of a file, is left out.

    Raises:
        BadInput: it can't be. It is not shown.
    """
    value = authorization.strip()
    if not (value.isascii() and value.isprintable()):
        raise BadInput(
            "The token can't be sent in a header.", remedy="Make it of ASCII letters and digits."
        )
    return value


def full_url(url: str, dialect: Dialect) -> str:
    """The server's URL, `http://` before it if no scheme is, and no slash at its end.

    Raises:
        BadInput: it can't be meant.
    """
    full = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        fits = fits and not (parts.query or parts.fragment)
        has_user = "@" in parts.netloc
    except ValueError:
        fits = has_user = False
    if has_user or (not fits and "@" in url):  # which is not shown: there may be a password in it
        raise BadInput(
            f"The address of a {dialect.service}'s server has no user and password in it.",
            remedy=f"Give the token by itself: {dialect.client}(url, token=…).",
        )
    if not fits:
        raise BadInput(
            f"{url.partition('?')[0]!r:.200} is no address of a {dialect.service}'s server.",
            remedy="Such as localhost:8080, or https://queue.example/team.",
        )
    return full.rstrip("/")


def _retry_after_s(response: httpx.Response) -> float:
    """When the server wants to be asked again, if it says so in seconds, as ours do."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdecimal() else 0.0
