"""What a controller holds of a queue: the tasks that it has claimed, and their leases.

Claims are made one by one, under the controller's id, by which the next of its lives finds them in
the queue. What is found so was sent to the worker, but for the newest, for which there may have
been no time; and what is found in the middle of a life is a claim whose answer was lost, which
was never sent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from labs.task_queue.errors import StoreUnreachable, TaskError, UnknownTask
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim, Json, Task

log = logging.getLogger(__name__)

PAGE = 1000
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Job:
    """A task of ours that is PROCESSING."""

    claim: Claim
    sent: bool = False
    """Whether the worker certainly has taken it."""
    tries: int = 0
    """Of sending it; and, once it has ended, of asking what came of it."""
    since_s: float = 0.0
    """When the first of them was, by the clock that only goes forward; 0: there was none."""
    why: str = ""
    """Why it could not be sent."""


class Claims:
    """The claims of one controller. Its owner sees to it that one thread at a time uses it."""

    def __init__(self, queue: TaskQueue, controller: str, lease_s: float | None) -> None:
        self.jobs: dict[str, Job] = {}
        self.must_look = True
        """Whether there may be claims of ours in the queue of which we do not know."""
        self._queue, self._controller, self._lease_s = queue, controller, lease_s
        self._extend_at = 0.0
        self._others: dict[str, Json] = {}
        """Bodies of tasks that others process, as `processing` last saw them."""

    def claim(self) -> Job | None:
        """Claim the next task; None: there is none."""
        try:
            claims = self._queue.get(1, lease_s=self._lease_s, owner=self._controller)
        except StoreUnreachable:
            self.must_look = True  # it may have been carried out all the same
            raise
        for claim in claims:
            self.jobs[claim.id] = Job(claim)
            return self.jobs[claim.id]
        return None

    def hand_back(self, job: Job, delay_s: float = 0.0) -> None:
        """Let a task that was not sent wait again."""
        with suppress(TaskError):  # it is not ours any more: all the better
            self._queue.release(job.claim, delay_s=delay_s)
        del self.jobs[job.claim.id]

    def doubtful(self) -> list[Job]:
        """Those that may not have been sent."""
        return [job for job in self.jobs.values() if not job.sent]

    def look(self) -> list[Task]:
        """The tasks that are ours and of which we do not know, the newest claim last."""
        found = []
        for id_ in list(self._pages()):
            with suppress(UnknownTask):
                task = self._queue.lookup_task(id_)
                mine = task.stage is Stage.PROCESSING and task.owner == self._controller
                job = self.jobs.get(id_)
                if mine and (job is None or job.claim.move != task.moves):
                    found.append(task)
        return sorted(found, key=lambda task: task.claimed_at or LONG_AGO)

    def take_up(self, found: Sequence[Task], sent: Sequence[str]) -> None:
        """They are ours again; these of them were sent."""
        for task in found:
            self.jobs[task.id] = Job(_claim_of(task), sent=task.id in sent)
        if found:
            log.warning("Took up %s tasks of %r", len(found), self._controller)
        self.must_look = False
        self._extend_at = 0.0

    def extend(self) -> list[str]:
        """Extend the leases, if it is time; return the ids of those that were lost."""
        if self._lease_s is None or not self.jobs or time.monotonic() < self._extend_at:
            return []
        claims, lost = [job.claim for job in self.jobs.values()], []
        with suppress(TaskError):
            self._queue.extend(claims, self._lease_s)
            claims = []
        for claim in claims:  # one of them was refused: which?
            try:
                self._queue.extend(claim, self._lease_s)
            except TaskError as error:
                log.warning("The job %r counts no more: %s", claim.id, error)
                del self.jobs[claim.id]
                lost.append(claim.id)
        self._extend_at = time.monotonic() + self._lease_s / 3
        return lost

    def processing(self) -> dict[str, Json]:
        """The bodies of all tasks that are PROCESSING, ours and others', by id."""
        ours = {id_: job.claim.body for id_, job in self.jobs.items()}
        others = {}
        for id_ in self._pages():
            if id_ not in ours:
                with suppress(UnknownTask):  # purged meanwhile
                    known = id_ in self._others
                    others[id_] = self._others[id_] if known else self._queue.lookup_task(id_).body
        self._others = others
        return ours | others

    def _pages(self) -> Iterator[str]:
        after = None
        while True:
            page = self._queue.lookup_state(Stage.PROCESSING, limit=PAGE, after=after)
            yield from page
            if page.next is None:
                return
            after = page.next


def _claim_of(task: Task) -> Claim:
    return Claim(
        task.id,
        task.body,
        owner=task.owner,
        attempt=task.attempts,
        move=task.moves,
        lease_ends=task.lease_ends,
    )
