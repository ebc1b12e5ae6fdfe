"""What the queue service keeps and tells: values, as they stand in the store and in answers.

A message asks for one build of one job. It is known by its `id`: the build's, or, where a
schedule has made it, one that names the schedule's run. All times are in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from labs.task_queue.tasks import Json


class State(StrEnum):
    """Where a message is."""

    QUEUED = "queued"
    """It can be claimed, or could after a pause (`due`)."""
    BLOCKED = "blocked"
    """A job that blocks it is running, or a build of its own job is before it."""
    FROZEN = "frozen"
    """It waits for the end of a freeze window."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """Its attempts are used up; it can be replayed."""
    COLLAPSED = "collapsed"
    """A newer build of its job has taken its place."""
    STOPPED = "stopped"


LIVE = frozenset({State.QUEUED, State.BLOCKED, State.FROZEN, State.RUNNING})
ENDED = frozenset(State) - LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """All that is known of a message."""

    id: str
    build_id: int | None
    """None: a schedule has made it."""
    job_id: int
    job_name: str
    state: State
    priority: int
    cluster: str
    """The build cluster whose workers may claim it; `""` for those of none."""
    blocked_by: tuple[int, ...]
    """Jobs that must not be running."""
    waits_for: int | None
    """The job that blocks it at present."""
    replaced_by: str | None
    """The message into which it was collapsed."""
    attempts: int
    max_attempts: int | None
    owner: str | None
    enqueued_at: datetime
    due: datetime
    """From when on it may be claimed, blockers aside."""
    started_at: datetime | None
    lease_ends: datetime | None
    ended_at: datetime | None
    reason: str
    result: Json
    body: Mapping[str, Json]
    """As it was posted, without `token`, `build` and `causeMessage`."""
    move: int = 0
    """Of the claim that holds it, as in `Claimed`: by it an owner that was restarted finds its
    own claims. 0: nobody holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A message, and how many are before it in its line."""

    message: Message
    position: int | None
    """1: it is the next. None: it can't be claimed at present."""
    position_at_least: bool = False
    """There are `COUNTED` before it or more: counting on would make one wait."""


COUNTED = 100
"""Positions up to this are counted; those behind are only known to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """What has become of a start."""

    id: str
    build_id: int | None
    job_id: int
    state: State
    created: bool
    """False: it was there already, or its job is disabled (`id` is then empty)."""
    replayed: bool = False
    """This is the answer that the idempotency key had the first time."""
    until: datetime | None = None
    """When a freeze window ends."""
    waits_for: int | None = None
    note: str = ""
    """What the caller would want to know, such as why nothing was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What has become of a stop."""

    id: str
    was: State | None
    """None: no message had this id, and a start of it that comes late will be stopped."""
    stopped: bool
    """Whether this has stopped it: not, if it had ended before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message in somebody's hand."""

    id: str
    build_id: int | None
    job_id: int
    cluster: str
    body: Mapping[str, Json]
    owner: str
    attempt: int
    """1 for the first."""
    move: int
    """Tells this claim from later ones of the message: to be given back with each verb."""
    lease_ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """How the queue stands."""

    counts: Mapping[State, int]
    """Of each state; of those that have ended, as many as are still kept."""
    workers: int
    """Owners who hold a claim."""
    oldest_age_s: float
    """How long the oldest message waits that could be claimed; 0 if there is none."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How the queue stood at some time: for a curve."""

    at: datetime
    counts: Mapping[State, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job that starts by the clock."""

    job_id: int
    job_name: str
    cron: str
    """As it was given."""
    hashed: str
    """As it is meant: with numbers in place of `H`."""
    time_zone: str
    next_run: datetime
    last_run: datetime | None
    body: Mapping[str, Json] = field(default_factory=dict)
    """The message of each run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """Some messages, newest first, and where the next ones begin: None after the last."""

    messages: Sequence[Message]
    next: str | None
