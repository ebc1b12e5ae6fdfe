"""What goes back over the wire: a value becomes JSON, field by field, in camelCase.

Times are UTC and end in Z. Bodies, results and reasons go out as they came in. A `Reply` is all
that the application sends; how it is sent stands in one place, `api`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from operator import attrgetter
from types import NoneType
from typing import Any

from pydantic_core import to_json

from labs.queue_service.messages import Claimed, Sample, Schedule, State
from labs.queue_service.problems import MEDIA_TYPE, Problem
from labs.task_queue.tasks import Json

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: Headers = ()


def said(value: object, status: int = 200, headers: Headers = ()) -> Reply:
    """A value, as JSON."""
    return Reply(status, to_json(plain(value)), headers=headers)


def refused(problem: Problem) -> Reply:
    """A refusal."""
    return Reply(problem.status, problem.body(), MEDIA_TYPE, problem.headers)


def plain(value: Any) -> Json:
    """The value with dicts in place of dataclasses; times and states are left to `to_json`."""
    shape = _shape(type(value))  # type: ignore[arg-type]  # mypy takes no type for hashable
    if shape is not None:
        names, get = shape
        return {
            name: one if type(one) in _PLAIN else plain(one)
            for name, one in zip(names, get(value), strict=True)
        }
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


_PLAIN = frozenset({str, int, float, bool, NoneType, datetime, State, dict})


def camel(name: str) -> str:
    """`lease_ends` as it is on the wire: `leaseEnds`."""
    first, *more = name.split("_")
    return first + "".join(word.capitalize() for word in more)


@cache
def _shape(kind: Any) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]] | None:
    """Names on the wire, and what gets all fields at once; None: it is no dataclass."""
    if not hasattr(kind, "__dataclass_fields__"):
        return None
    names = [one.name for one in fields(kind)]
    get = attrgetter(*names)
    return tuple(map(camel, names)), get if len(names) > 1 else lambda value: (get(value),)


# --- What is said of something, where the service's own value says too little, or too much -----


@dataclass(frozen=True, slots=True)
class Claims:
    """What was claimed; nothing, if there was none."""

    claimed: Sequence[Claimed]


@dataclass(frozen=True, slots=True)
class Extended:
    """When a lease ends now."""

    lease_ends: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a message is now."""

    state: State


@dataclass(frozen=True, slots=True)
class Ids:
    """Those that were failed."""

    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Samples:
    """How the queue has stood, oldest first."""

    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Schedules:
    """All schedules, by their next run."""

    schedules: Sequence[Schedule]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A job's schedule as it is now; null: it has none."""

    job_id: int
    schedule: Schedule | None


@dataclass(frozen=True, slots=True)
class Unscheduled:
    """Whether a job had a schedule that is deleted now."""

    job_id: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """The service takes requests."""

    ready: bool
