"""The jobs that have failed: look at them, queue them again, or let them go.

They are in a queue like any other, `<name>.failed`. To look is to take all of them in hand
and to hand them back, in the order in which they were. To retry is to queue the job afresh,
attempts forgotten, and only then to settle the failed one: who is cut off in between has it
in both places, never in none. Two people at once don't see what the other has in hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from labs.errors import LabError
from labs.job_queue import marks
from labs.job_queue.bus import Bus, Delivery, Message
from labs.job_queue.jobs import JOB_ID, JOB_TYPE, Job, NotAJob, read
from labs.job_queue.worker import Queues

BY_THE_BROKER = (
    "The broker has put it here: its workers were lost with it too often, "
    "or it was older than the queue lets jobs become."
)
AT_ONCE = 100
"""So many are queued afresh in one confirmed batch."""


class NoSuchFailedJob(LabError):
    """Raised when no failed job has this id, or somebody else has it in hand just now."""

    exit_code = 13


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that has failed, or a message that was no job."""

    job_id: str
    """The job's own; for what has none: the message's, or one made of its bytes."""
    job_type: str
    """Empty for what was no job."""
    reason: str
    traceback: str
    attempts: int
    failed_at_s: float | None
    """Seconds since 1970; None where the broker put it here and did not say."""
    body: bytes
    """As it was queued."""

    @property
    def job(self) -> Job | None:
        """The job; None: it is none."""
        try:
            return read(self.body)
        except NotAJob:
            return None


class FailedJobs:
    """The failed jobs of a job queue."""

    def __init__(self, bus: Bus, queues: Queues) -> None:
        self._bus = bus
        self._queues = queues

    def list(self, limit: int | None = None) -> tuple[FailedJob, ...]:
        """The failed jobs, the oldest first; the first `limit` of them.

        Raises:
            BusUnreachable: the broker is not there.
        """
        with self._in_hand() as hand:
            return tuple(_failed_job(delivery.message) for delivery in hand[:limit])

    def show(self, job_id: str) -> FailedJob:
        """The failed job with this id, the latest if there are several.

        Raises:
            NoSuchFailedJob: there is none.
        """
        found = [job for job in self.list() if job.job_id == job_id]
        if not found:
            raise NoSuchFailedJob(
                f"There is no failed job {job_id!r}.",
                remedy="Look at the list. Somebody else may have it in hand: then try again.",
            )
        return found[-1]

    def retry(self, *job_ids: str) -> tuple[str, ...]:
        """Queue these jobs afresh, their attempts forgotten; returned: those that were found.

        Raises:
            NotConfirmed, BusUnreachable: what is not in the work queue is still among the failed.
        """
        return self._settle(set(job_ids).__contains__, self._queue_afresh)

    def retry_all(self) -> tuple[str, ...]:
        """Queue all failed jobs afresh; returned: their ids.

        Raises:
            As `retry`.
        """
        return self._settle(lambda _: True, self._queue_afresh)

    def discard(self, *job_ids: str) -> tuple[str, ...]:
        """Let these jobs go for good; returned: those that were found."""
        return self._settle(set(job_ids).__contains__, lambda _: None)

    def discard_all(self) -> tuple[str, ...]:
        """Let all failed jobs go for good; returned: their ids."""
        return self._settle(lambda _: True, lambda _: None)

    def _queue_afresh(self, deliveries: Collection[Delivery]) -> None:
        messages = [marks.afresh(delivery.message) for delivery in deliveries]
        self._bus.publish(self._queues.work, messages)

    def _settle(
        self, is_meant: Callable[[str], bool], first: Callable[[Collection[Delivery]], None]
    ) -> tuple[str, ...]:
        """Take all in hand; do `first` with those that are meant, and acknowledge them."""
        done: list[str] = []
        with self._in_hand() as hand:
            meant = [one for one in hand if is_meant(_id_of(one.message))]
            for begin in range(0, len(meant), AT_ONCE):
                some = [one for one in meant[begin : begin + AT_ONCE] if self._bus.holds(one)]
                first(some)
                for delivery in some:
                    self._bus.ack(delivery)
                    done.append(_id_of(delivery.message))
        return tuple(done)

    @contextmanager
    def _in_hand(self) -> Iterator[Sequence[Delivery]]:
        """What is there now, the oldest first; what is not acknowledged goes back at the end.

        All of it, always: a quorum queue puts what comes back behind what was never out. In
        order, so that a queue which two people have mixed up is put to rights by the next.
        """
        hand: list[Delivery] = []
        try:
            while delivery := self._bus.get(self._queues.failed):
                hand.append(delivery)
            hand.sort(key=lambda delivery: _failed_job(delivery.message).failed_at_s or 0.0)
            yield hand
        finally:
            for delivery in hand:
                self._bus.requeue(delivery)


def _id_of(message: Message) -> str:
    return _failed_job(message).job_id


def _failed_job(message: Message) -> FailedJob:
    try:
        job = read(message.body)
    except NotAJob:
        job = {}
    headers = message.headers
    failed_at = headers.get(marks.FAILED_AT)
    return FailedJob(
        job_id=job.get(JOB_ID) or message.message_id or _name_of(message.body),
        job_type=job.get(JOB_TYPE, ""),
        reason=str(headers.get(marks.REASON, BY_THE_BROKER)),
        traceback=str(headers.get(marks.TRACEBACK, "")),
        attempts=marks.attempts_of(message),
        failed_at_s=failed_at / 1000 if isinstance(failed_at, int) else None,
        body=message.body,
    )


def _name_of(body: bytes) -> str:
    """A name for what has none: the same for the same bytes."""
    return f"sha256-{hashlib.sha256(body).hexdigest()[:12]}"
