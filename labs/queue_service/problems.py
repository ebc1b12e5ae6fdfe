"""What a refusal looks like on the wire: `application/problem+json`, by the type of the error.

`type` ends in the name of the error's class, so that server and client raise the same one;
`errors` names each field that is not as it must be. The words of the known service stand
besides: `statusCode`, `error`, `message`, and `data` for what a scope lacks. An error that is
not in the table is the server's own: of that nothing is told but that it happened.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from labs.errors import LabError
from labs.queue_service.errors import BadMessage, Forbidden, KeyReused, Overloaded, UnknownMessage
from labs.task_queue.errors import (
    BadTask,
    ClaimLost,
    StoreUnfit,
    StoreUnreachable,
    Unauthorised,
    UnknownTask,
    WrongStage,
)
from labs.task_queue.tasks import Json

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:queue-service:"

STATUS: Mapping[type[LabError], int] = {
    BadMessage: 422,
    BadTask: 422,
    KeyReused: 422,
    Unauthorised: 401,
    Forbidden: 403,
    UnknownMessage: 404,
    UnknownTask: 404,
    ClaimLost: 409,
    WrongStage: 409,
    Overloaded: 429,
    StoreUnreachable: 503,
    StoreUnfit: 503,
}
"""Error -> what it is answered with."""
KINDS: Mapping[str, type[LabError]] = {kind.__name__: kind for kind in STATUS}

AWAY_S = 1
"""When to come again, if the store is away."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A field that is not as it must be."""

    field: str
    """As the caller spells it, with dots and indexes: `blockedBy.0`."""
    detail: str


class BadRequest(BadMessage):
    """Raised when several fields of a request can't be meant; nothing has been stored."""

    def __init__(self, wrong: Sequence[Wrong], *, remedy: str = "") -> None:
        first = wrong[0]
        more = f" And {len(wrong) - 1} more." if len(wrong) > 1 else ""
        super().__init__(f"{first.field}: {first.detail}{more}", field=first.field, remedy=remedy)
        self.wrong = tuple(wrong)


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal, ready to be sent."""

    status: int
    kind: str
    detail: str
    remedy: str = ""
    errors: tuple[Wrong, ...] = ()
    data: Mapping[str, Json] | None = None
    headers: Sequence[tuple[str, str]] = field(default=())

    def body(self) -> bytes:
        """As JSON."""
        phrase = HTTPStatus(self.status).phrase
        said = {
            "type": f"{TYPE}{self.kind}",
            "title": phrase,
            "status": self.status,
            "detail": self.detail,
            "remedy": self.remedy,
            "statusCode": self.status,
            "error": phrase,
            "message": self.detail,
        }
        if self.errors:
            said["errors"] = [{"field": one.field, "detail": one.detail} for one in self.errors]
        if self.data is not None:
            said["data"] = self.data
        return json.dumps(said).encode()


FAILED = Problem(
    500,
    "ServerFailed",
    "The server failed.",
    "Its log says why. Whether the request was carried out is open: look, or send it again.",
)
"""Whatever was not thought of; its own words stay in the log."""


def problem_of(error: LabError, challenges: Sequence[str] = ()) -> Problem:
    """What an error is answered with.

    Args:
        challenges: what `WWW-Authenticate` says, one header each, where somebody is not known.
    """
    kind = next((known for known in STATUS if isinstance(error, known)), None)
    if kind is None:
        return FAILED
    data: Mapping[str, Json] | None = None
    errors: tuple[Wrong, ...] = ()
    headers: list[tuple[str, str]] = []
    if isinstance(error, BadRequest):
        errors = error.wrong
    elif isinstance(error, BadMessage):
        errors = (Wrong(error.field, str(error)),)
    elif isinstance(error, Forbidden):
        data = {"need": error.need, "got": list(error.got)}
    elif isinstance(error, Overloaded):
        headers = [("Retry-After", str(max(1, math.ceil(error.retry_after_s))))]
    elif isinstance(error, Unauthorised):
        headers = [("WWW-Authenticate", one) for one in challenges]
    elif STATUS[kind] == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = [("Retry-After", str(AWAY_S))]
    return Problem(
        STATUS[kind], kind.__name__, str(error), error.remedy, errors, data, tuple(headers)
    )


def error_of(said: Mapping[str, Any], retry_after_s: float = 0.0) -> LabError | None:
    """The error that a problem's JSON tells of; None: it is none of the table.

    Raises:
        KeyError, TypeError, ValueError: it is no problem of this service.
    """
    text = said["type"]
    if not isinstance(text, str) or not text.startswith(TYPE):
        raise ValueError(f"{text!r:.80} is no problem of the queue service")
    kind = KINDS.get(text.removeprefix(TYPE))
    detail, remedy = str(said["detail"]), str(said["remedy"])
    if kind is BadMessage:
        wrong = [Wrong(str(one["field"]), str(one["detail"])) for one in said["errors"]]
        if len(wrong) == 1:
            return BadMessage(detail, field=wrong[0].field, remedy=remedy)
        return BadRequest(wrong, remedy=remedy)
    if kind is Forbidden:
        data = said["data"]
        return Forbidden(detail, need=str(data["need"]), got=tuple(data["got"]), remedy=remedy)
    if kind is Overloaded:
        return Overloaded(detail, retry_after_s=retry_after_s, remedy=remedy)
    return kind(detail, remedy=remedy) if kind else None


class Refused(Exception):
    """Raised at the door, before a request is understood: the answer is this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem
