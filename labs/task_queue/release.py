"""Release strategies: how many of the waiting tasks may be started now.

Each is a small frozen value with one method, `release_next_jobs(work_queue)`, which starts what
it allows and returns it. Limits count all that is PROCESSING, whoever works on it, so that any
number of controllers with the same strategy keep one limit together: a task is claimed, counted,
and handed back unsent if it is one too many. With `own=True` a limit counts the controller's own
jobs alone: for what each of them has to itself, such as the cores of its machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from labs.task_queue.errors import BadTask, TaskError
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim, Json, admitted_count, admitted_number
from labs.task_queue.work_queue import WorkQueue


class Uncountable(ValueError):
    """Raised when a body does not say in numbers what its task needs."""


class Strategy(Protocol):
    """Decides what may be started."""

    def release_next_jobs(self, work_queue: WorkQueue) -> list[Claim]:
        """Start what may be started now, and return it as (id, body) pairs."""


@dataclass(frozen=True)
class ReleaseAll:
    """All that waits at the moment is started."""

    def release_next_jobs(self, work_queue: WorkQueue) -> list[Claim]:
        """Start what may be started now, and return it as (id, body) pairs."""
        # As many as wait now, so that it ends however fast others put.
        return work_queue.push_next_jobs(work_queue.get_queue_size(Stage.WAITING))


@dataclass(frozen=True)
class ProcessingLimit:
    """At most so many tasks are processed at a time."""

    max_num_processing: int
    own: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Raises BadTask for what is no number."""
        admitted_count(self.max_num_processing, "max_num_processing", 0)

    def release_next_jobs(self, work_queue: WorkQueue) -> list[Claim]:
        """Start what may be started now, and return it as (id, body) pairs."""
        limit = self.max_num_processing

        def count() -> int:
            return len(work_queue.jobs) if self.own else work_queue.count_processing(limit + 1)

        return work_queue.push_while(lambda: count() < limit, lambda _: count() <= limit)


@dataclass(frozen=True)
class ResourceLimit:
    """The tasks that are processed need no more of each resource, together, than there is.

    A body says what it needs: `{"resources": {"gpus": 1, "memory_gb": 4}, …}`. Resources without
    a limit don't count. A body that has no such key, or is no dict, needs nothing. Tasks start
    in the queue's order; one that must wait for room keeps those behind it waiting too, or a
    large one would never have its turn. One that needs more than there ever is, or says what it
    needs in no number, fails with a reason, and keeps nobody waiting.

    Args:
        resource_limits: how much there is of each.
        resource_key: where a body says what it needs.
        peek_batch_size: so many tasks are looked at in one go.

    Raises:
        BadTask: an argument can't be meant.
    """

    resource_limits: Mapping[str, float]
    resource_key: str = "resources"
    peek_batch_size: int = 10
    own: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what can't be meant; keep a copy."""
        if not isinstance(self.resource_limits, Mapping):
            raise BadTask(
                f"resource_limits must map resources to numbers, not {self.resource_limits!r:.80}.",
                remedy='Such as {"gpus": 2}.',
            )
        for name, most in self.resource_limits.items():
            admitted_number(most, f"The limit of {name!r}", 0)
        admitted_count(self.peek_batch_size, "peek_batch_size", 1)
        object.__setattr__(self, "resource_limits", dict(self.resource_limits))

    def release_next_jobs(self, work_queue: WorkQueue) -> list[Claim]:
        """Start what may be started now, and return it as (id, body) pairs."""
        line: list[tuple[str, Json]] = []

        def room() -> bool:
            while True:
                if not line:
                    line.extend(work_queue.queue.peek(self.peek_batch_size))
                if not line:
                    return False
                id_, body = line.pop(0)
                if why := self.impossible(body):
                    with suppress(TaskError):  # somebody has claimed it meanwhile
                        work_queue.queue.refuse(id_, reason=why)
                else:
                    return self._fit([*self._processed(work_queue), body])

        return work_queue.push_while(room, lambda _: self._fit(self._processed(work_queue)))

    def impossible(self, body: Json) -> str:
        """Why a task can never be started under this limit; empty if it can."""
        try:
            needs = self._needs(body)
        except Uncountable as error:
            return str(error)
        for name, amount in needs.items():
            if amount > (most := self.resource_limits[name]):
                return f"The task needs {amount} of {name!r}, and there are {most} at most."
        return ""

    def _needs(self, body: Json) -> dict[str, float]:
        needs = body.get(self.resource_key) if isinstance(body, dict) else None
        if needs is None:
            return {}
        if not isinstance(needs, dict):
            raise Uncountable(f"What the task needs is no dict of resources: {needs!r:.80}.")
        counted = {name: needs[name] for name in self.resource_limits if name in needs}
        for name, amount in counted.items():
            if isinstance(amount, bool) or not isinstance(amount, int | float) or amount < 0:
                raise Uncountable(f"What the task needs of {name!r} is no amount: {amount!r:.80}.")
        return counted

    def _fit(self, bodies: list[Json]) -> bool:
        """Whether there is enough for all of these at once."""
        needs = []
        for body in bodies:
            with suppress(Uncountable):  # started by another strategy: what it needs is not known
                needs.append(self._needs(body))
        for name, most in self.resource_limits.items():
            total = sum(need.get(name, 0) for need in needs)
            if total > most and not math.isclose(total, most):  # ten times 0.1 fit into 1
                return False
        return True

    def _processed(self, work_queue: WorkQueue) -> list[Json]:
        return list((work_queue.jobs if self.own else work_queue.processing()).values())
