"""What can be asked of the queue service: one frozen value each, with the type of its answer.

The API makes them of requests, the service carries them out; those that write are committed
together, as many as wait at a time. Fields are admitted by whoever makes an operation
(`admission`): the service trusts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from labs.queue_service.messages import (
    Claimed,
    Enqueued,
    MessagePage,
    Sample,
    Schedule,
    Standing,
    State,
    Stats,
    Stopped,
)
from labs.task_queue.tasks import Json

A = TypeVar("A", covariant=True)

MAX_ATTEMPTS = 3
BACKOFF_S = 5.0
"""As the known service tries a start."""
SAME_JOB_WAIT_S = 300.0
ANNOTATION = "screwdriver.cd/"
"""What the names of the known annotations begin with."""
FORCE = "[force start]"
"""The known word by which a cause passes over freeze windows."""


class Operation(Generic[A]):
    """The base of all; `A` is what it is answered with."""


# --- Messages ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Operation[Enqueued]):
    """Enqueue a message, once: a build that is there already is not enqueued again."""

    build_id: int
    job_id: int
    body: Mapping[str, Json] = field(repr=False)
    job_name: str = ""
    disabled: bool = False
    """The job is disabled or archived: nothing is to be stored."""
    blocked_by: tuple[int, ...]
    """Jobs, mostly with the own one among them."""
    collapse: bool = True
    """A newer build of the job takes the place of those that are blocked."""
    blocked_by_self: bool = True
    """False: the own job in `blocked_by` counts for nothing."""
    blocked_by_same_job: bool = True
    """False: the own job blocks no longer than `same_job_wait_s`."""
    same_job_wait_s: float = SAME_JOB_WAIT_S
    virtual: bool = False
    """Nothing is to be run: it is done as soon as nothing blocks it."""
    freeze_windows: tuple[str, ...] = ()
    force: bool = False
    """Freeze windows are passed over: its cause says `[force start]`."""
    cluster: str = ""
    priority: int = 0
    delay_s: float = 0.0
    max_attempts: int = MAX_ATTEMPTS
    backoff_s: float = BACKOFF_S
    idempotency_key: str | None = None
    fingerprint: str = ""
    """Of the request that the idempotency key came with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Operation[Stopped]):
    """Let a message not run, or no longer: its claim is void at once.

    Raises UnknownMessage: there is none of this `id`. (A build that is not known is remembered.)
    """

    build_id: int | None = None
    id: str | None = None
    """In place of the build, which a schedule's message does not have."""
    job_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thaw(Operation[Enqueued]):
    """Let the frozen message of a job wait no more for the end of its window."""

    job_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopFrozen(Operation[Stopped]):
    """Stop the frozen message of a job, if there is one."""

    job_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Find(Operation[Standing]):
    """Look a message up: by its id, or the newest of a job. Raises UnknownMessage."""

    id: str | None = None
    job_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMessages(Operation[MessagePage]):
    """A page of messages that fulfil all that is given."""

    state: State | None = None
    job_id: int | None = None
    cluster: str | None = None
    limit: int = 50
    after: str | None = None
    """The `next` of the page before."""


@dataclass(frozen=True, slots=True)
class GetStats(Operation[Stats]):
    """How the queue stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetSamples(Operation[Sequence[Sample]]):
    """How it has stood, oldest first."""

    since: datetime


# --- Dispatch ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Operation[Sequence[Claimed]]):
    """Take the next messages of a build cluster's line that nothing blocks."""

    owner: str
    n: int = 1
    lease_s: float = 60.0
    cluster: str = ""
    wait_s: float = 0.0
    """If there is none, wait for one so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Which claim is meant."""

    id: str
    owner: str
    move: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend(Operation[datetime]):
    """Let a lease end so long from now; when that is. Raises ClaimLost, UnknownMessage."""

    held: Held
    lease_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(Operation[State]):
    """The build is done. Raises ClaimLost, UnknownMessage."""

    held: Held
    result: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nack(Operation[State]):
    """The attempt has failed: QUEUED after a pause, or FAILED. Raises ClaimLost, UnknownMessage."""

    held: Held
    reason: str = ""
    requeue: bool = False
    """It was not tried: the attempt does not count, and it is queued at once."""
    final: bool = False
    """More attempts would not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay(Operation[Sequence[str]]):
    """Queue failed messages again, their attempts counted anew; those ids that were failed."""

    ids: tuple[str, ...] | None
    """None: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard(Operation[Sequence[str]]):
    """Forget failed messages; those ids that were failed."""

    ids: tuple[str, ...] | None


# --- Schedules --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PutSchedule(Operation[Schedule | None]):
    """Start a job by the clock, in place of how it was before; None: it starts no more so."""

    job_id: int
    job_name: str = ""
    cron: str | None
    """None, or a job that is disabled: no schedule is kept."""
    time_zone: str = "UTC"
    body: Mapping[str, Json] = field(repr=False)
    """The message of each run."""
    template: Start | None = None
    """How each run is enqueued, its `build_id` and `body` aside. None: blocked by its own job
    alone, the rest by default."""
    trigger: bool = False
    """Start it once at once, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSchedule(Operation[bool]):
    """Start a job by the clock no more; whether it did."""

    job_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSchedules(Operation[Sequence[Schedule]]):
    """The first so many of them, by their next run; None: all."""

    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Tick(Operation[None]):
    """What time has brought: leases that have run out, delays that have passed, runs that are
    due, a sample for the curve, what is too old to be kept."""
