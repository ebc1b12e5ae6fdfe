"""When a message may run, and when it gives way to a newer one: pure functions, no store.

A message waits while a job in its `blocked_by` runs, and while a build of its own job is before
it, if the job blocks itself. The messages of a job that wait so are its line; only its head
waits for other jobs, so that a line of a million builds costs what one costs. In go the message,
its line and how the jobs stand, out comes what is to become of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Waiter(Protocol):
    """What the rules look at in a message."""

    id: str
    job_id: int
    number: int
    """Of its build; a schedule's message has the highest that its job has had."""
    seq: int
    """Of two of the same number, the older one has the lower."""
    blocked_by: tuple[int, ...]
    collapse: bool
    blocks_self: bool
    """Of its job one build runs at a time: the job is in its own `blocked_by`, and counts."""
    same_job_wait_s: float | None
    """A build of the own job blocks it no longer than this; None: till its end."""


@dataclass(slots=True)
class Job:
    """How a job stands."""

    job_id: int
    running: int = 0
    queued: int = 0
    blocked: int = 0
    frozen: int = 0
    started_at: float | None = None
    """When the build that was started last has started, seconds since 1970."""
    last_number: int = -1
    """The highest of those that have run, and its message."""
    last_id: str = ""
    top_number: int = 0
    """The highest of all."""
    waking: bool = False
    """Somebody who waits for it is still to be looked at."""

    @property
    def is_idle(self) -> bool:
        """None of its messages runs or waits, and nobody waits for it."""
        return not (self.running or self.queued or self.blocked or self.frozen or self.waking)


@dataclass(slots=True)
class Line:
    """The ends of a job's line, as far as the rules need them."""

    oldest_fixed: Waiter | None = None
    """Of the blocked ones that don't collapse, the first."""
    collapsible: Waiter | None = None
    """Of those that do there is one at most: a newer one takes its place."""
    newest: Waiter | None = None
    """Of all that are blocked or can be claimed, the newest."""

    @property
    def head(self) -> Waiter | None:
        """Whose turn is next."""
        ends = [one for one in (self.oldest_fixed, self.collapsible) if one]
        return min(ends, key=age, default=None)

    def add(self, one: Waiter, *, blocked: bool) -> None:
        """Take it into account."""
        if self.newest is None or age(one) >= age(self.newest):
            self.newest = one
        if blocked and one.collapse:
            self.collapsible = one
        elif blocked and (self.oldest_fixed is None or age(one) < age(self.oldest_fixed)):
            self.oldest_fixed = one


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a message has to wait."""

    by: int
    """The job."""
    until: float | None = None
    """When it is to be looked at again, whatever happens: seconds since 1970."""


def age(one: Waiter) -> tuple[int, int]:
    """The place of a message in its job's line: lower ones are older."""
    return one.number, one.seq


def overtaken(one: Waiter, job: Job, line: Line, *, again: bool = False) -> str | None:
    """The newer message that makes a new one pointless: one that waits, or has run.

    Args:
        again: it has run before, and somebody wants it run again, though newer ones have run.
    """
    if not one.collapse:
        return None
    if one.number < job.last_number and not again:
        return job.last_id
    newest = line.newest
    return newest.id if newest is not None and one.number < newest.number else None


def gives_way(line: Line, newer: Waiter) -> Waiter | None:
    """The blocked message whose place a new one takes."""
    older = line.collapsible
    if older is None or not newer.collapse or age(newer) < age(older):
        return None
    return older


def newer_blocked(one: Waiter, line: Line) -> Waiter | None:
    """The blocked message for which one whose turn has passed gives way."""
    newer = line.collapsible
    if newer is None or not one.collapse or age(newer) <= age(one):
        return None
    return newer


def blocked(
    one: Waiter, head: Waiter | None, job_of: Callable[[int], Job], now: float
) -> Blocked | None:
    """What the message has to wait for; None if it may run.

    Args:
        head: of the line of its job, itself perhaps.
        job_of: how a job stands, by its id.
    """
    if one.blocks_self and head is not None and age(head) < age(one):
        return Blocked(one.job_id)
    if why := blocked_by_running(one, job_of, now):
        return why
    is_before = one.blocks_self and job_of(one.job_id).queued
    return Blocked(one.job_id) if is_before else None


def blocked_by_running(one: Waiter, job_of: Callable[[int], Job], now: float) -> Blocked | None:
    """The same for one whose turn has come: only what runs is in its way."""
    own = one.job_id
    for job_id in one.blocked_by:
        if job_id != own and job_of(job_id).running:
            return Blocked(job_id)
    job = job_of(own)
    if not one.blocks_self or not job.running:
        return None
    if one.same_job_wait_s is None or job.started_at is None:
        return Blocked(own)
    until = job.started_at + one.same_job_wait_s
    return Blocked(own, until) if now < until else None
