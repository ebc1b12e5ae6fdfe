"""What a replica tells its observer: a frozen value for each thing that becomes of a request.

An observer is a plain callable. It is called in the replica's thread and should be quick; what
it raises is logged and hurts nothing. Tests, notebooks' pictures and metrics are made from these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class What(StrEnum):
    """What became of a request, or of a record that is none."""

    TAKEN = "taken"
    """A handler begins with it."""
    DONE = "done"
    """The handler returned True."""
    PUT_BACK = "put back"
    """The handler returned False: it stands at the end of its partition again."""
    ANSWERED = "answered"
    """It failed, and a FAILED response was sent."""
    FAILED = "failed"
    """It is on the failed topic, whole."""
    COMMITTED = "committed"
    """The group is done with the record: its committed offset is now `offset + 1`."""
    RETURNED = "returned"
    """Its outcome could be put nowhere safe: it is not committed, and comes again."""
    LOST = "lost"
    """The partition went to another replica (or this one stops) first: it comes again there."""
    MOVED = "moved"
    """It was put back before, is not due yet, and now lets those behind it pass."""


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """One thing that became of one record."""

    what: What
    replica: str
    topic: str
    partition: int
    offset: int
    at_s: float
    """Seconds since 1970."""
    queued_at_s: float
    """When the record was appended, in seconds since 1970."""
    request_id: str | None = None
    """None: the record holds no request."""
    attempts: int = 0
    """How often a handler has returned False for it before."""
    why: str = ""
    """The reason, where it failed, was returned or lost."""


Observer = Callable[[RequestEvent], None]
