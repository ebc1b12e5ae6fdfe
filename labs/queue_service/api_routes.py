"""A route of the queue service, as a value: how it is asked, what it answers, and what it does.

All routes stand in tables of these (`api_messages`, `api_dispatch`, `api_looks`). The application
looks a request's path up in them, and the OpenAPI document is made of them: so it tells the
truth. No path has a variable in it: what is meant stands in the body or after the `?`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labs.queue_service.api_answers import JSON, Reply
from labs.queue_service.api_desk import Asked, Desk
from labs.queue_service.shapes import Shape
from labs.queue_service.shapes_verbs import Query
from labs.task_queue.tasks import Json

PREFIX = "/v1"
SDAPI, WORKER = "sdapi", "worker"
"""The scopes: of what the known service's clients do, and of who works on builds."""


@dataclass(frozen=True, slots=True)
class Says:
    """A kind of answer."""

    about: str
    kind: Any = None
    """The type of the value."""
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    """Name -> what it says."""
    example: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A way in."""

    method: str
    path: str
    does: Callable[[Desk, Asked], Awaitable[Reply]]
    about: str
    """One sentence."""
    scope: str | None = None
    """What a token must allow; None: any token will do."""
    open: bool = False
    """No token is needed."""
    open_here: bool = False
    """Nor from this machine."""
    query: type[Query] | None = None
    bodies: Sequence[type[Shape]] = ()
    """It must be one of these; none: it has no body."""
    key: bool = False
    """The header Idempotency-Key is heeded."""
    answers: Mapping[int, Says]
    refuses: Mapping[int, str] = field(default_factory=dict)
    """Status -> why, besides what every route refuses."""
    store: bool = True
    """The store is asked: 503 if it is away."""
