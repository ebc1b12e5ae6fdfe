"""What can be asked of a queue service, as typed methods: each makes an operation and `call`s it.

Whoever has `call` gets them: the client, which carries an operation over HTTP, and by `VerbsOf`
a service in the same process. So a program may be written for either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from labs.queue_service.client_claims import LEASE_S, POLL_S, Builds
from labs.queue_service.messages import (
    Claimed,
    Enqueued,
    Message,
    MessagePage,
    Sample,
    Schedule,
    Standing,
    State,
    Stats,
    Stopped,
)
from labs.queue_service.operations import (
    BACKOFF_S,
    MAX_ATTEMPTS,
    SAME_JOB_WAIT_S,
    Ack,
    Claim,
    DeleteSchedule,
    Discard,
    Extend,
    Find,
    GetSamples,
    GetStats,
    Held,
    ListMessages,
    ListSchedules,
    Nack,
    Operation,
    PutSchedule,
    Replay,
    Start,
    Stop,
    StopFrozen,
    Thaw,
)
from labs.task_queue.tasks import Json

A = TypeVar("A")
PAGE = 200


class Verbs(ABC):
    """All that can be asked, by name. Errors are those of `call`."""

    @abstractmethod
    def call(self, operation: Operation[A]) -> A:
        """Have an operation done; its answer."""

    # --- Messages -----------------------------------------------------------------------------

    def start(
        self,
        build_id: int,
        job_id: int,
        body: Mapping[str, Json] | None = None,
        *,
        job_name: str = "",
        blocked_by: Sequence[int] | None = None,
        collapse: bool = True,
        blocked_by_self: bool = True,
        blocked_by_same_job: bool = True,
        same_job_wait_s: float = SAME_JOB_WAIT_S,
        virtual: bool = False,
        freeze_windows: Sequence[str] = (),
        force: bool = False,
        cluster: str = "",
        priority: int = 0,
        delay_s: float = 0.0,
        max_attempts: int = MAX_ATTEMPTS,
        backoff_s: float = BACKOFF_S,
        idempotency_key: str | None = None,
    ) -> Enqueued:
        """Enqueue a build of a job, once: what `Start` says of each argument holds.

        Args:
            blocked_by: jobs that must not be running; None: the own one.
        """
        return self.call(
            Start(
                build_id=build_id,
                job_id=job_id,
                body={} if body is None else body,
                job_name=job_name,
                blocked_by=(job_id,) if blocked_by is None else tuple(blocked_by),
                collapse=collapse,
                blocked_by_self=blocked_by_self,
                blocked_by_same_job=blocked_by_same_job,
                same_job_wait_s=same_job_wait_s,
                virtual=virtual,
                freeze_windows=tuple(freeze_windows),
                force=force,
                cluster=cluster,
                priority=priority,
                delay_s=delay_s,
                max_attempts=max_attempts,
                backoff_s=backoff_s,
                idempotency_key=idempotency_key,
            )
        )

    def stop(self, build: int | str, job_id: int | None = None) -> Stopped:
        """Let a message not run, or no longer.

        Args:
            build: its number; or the message's id, such as that of a schedule's run.
        """
        if isinstance(build, str):
            return self.call(Stop(id=build, job_id=job_id))
        return self.call(Stop(build_id=build, job_id=job_id))

    def thaw(self, job_id: int) -> Enqueued:
        """Let a job's frozen message wait no more for the end of its window."""
        return self.call(Thaw(job_id=job_id))

    def stop_frozen(self, job_id: int) -> Stopped:
        """Stop a job's frozen message, if there is one."""
        return self.call(StopFrozen(job_id=job_id))

    def find(self, id: str) -> Standing:
        """A message, and where it stands. Raises UnknownMessage."""
        return self.call(Find(id=id))

    def find_job(self, job_id: int) -> Standing:
        """The newest message of a job. Raises UnknownMessage."""
        return self.call(Find(job_id=job_id))

    def page(
        self,
        *,
        state: State | None = None,
        job_id: int | None = None,
        cluster: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> MessagePage:
        """A page of messages, newest first."""
        return self.call(
            ListMessages(state=state, job_id=job_id, cluster=cluster, limit=limit, after=after)
        )

    def messages(
        self,
        *,
        state: State | None = None,
        job_id: int | None = None,
        cluster: str | None = None,
    ) -> Iterator[Message]:
        """All messages that fulfil what is given, newest first, fetched page by page."""
        after = None
        while True:
            page = self.page(state=state, job_id=job_id, cluster=cluster, limit=PAGE, after=after)
            yield from page.messages
            if (after := page.next) is None:
                return

    def stats(self) -> Stats:
        """How the queue stands."""
        return self.call(GetStats())

    def samples(self, since: datetime) -> Sequence[Sample]:
        """How it has stood, oldest first."""
        return self.call(GetSamples(since=since))

    # --- Dispatch -----------------------------------------------------------------------------

    def claim(
        self,
        owner: str,
        n: int = 1,
        *,
        lease_s: float = LEASE_S,
        cluster: str = "",
        wait_s: float = 0.0,
    ) -> Sequence[Claimed]:
        """Take the next messages of a build cluster's line that nothing blocks."""
        return self.call(Claim(owner=owner, n=n, lease_s=lease_s, cluster=cluster, wait_s=wait_s))

    def claims(
        self,
        owner: str,
        n: int = 1,
        *,
        lease_s: float = LEASE_S,
        cluster: str = "",
        wait_s: float = POLL_S,
        wanted: Callable[[], bool] = lambda: True,
        drain: bool = False,
    ) -> Builds:
        """The messages of a line, one after the other, each to be worked on `with` it.

        Args:
            n: so many are claimed at a time.
            wait_s: so long each claim waits on the service.
            wanted: asked before each claim; false ends the loop.
            drain: end the loop when there is nothing to claim, without waiting.
        """
        return Builds(
            self.call,
            Claim(
                owner=owner,
                n=n,
                lease_s=lease_s,
                cluster=cluster,
                wait_s=0.0 if drain else wait_s,
            ),
            wanted=wanted,
            drain=drain,
        )

    def extend(self, held: Claimed | Held, lease_s: float = LEASE_S) -> datetime:
        """Let a claim's lease end so long from now; when that is. Raises ClaimLost."""
        return self.call(Extend(held=_held(held), lease_s=lease_s))

    def ack(self, held: Claimed | Held, result: Json = None) -> State:
        """The build is done. Raises ClaimLost."""
        return self.call(Ack(held=_held(held), result=result))

    def nack(
        self,
        held: Claimed | Held,
        reason: str = "",
        *,
        requeue: bool = False,
        final: bool = False,
    ) -> State:
        """The attempt has failed, or (`requeue`) was none. Raises ClaimLost."""
        return self.call(Nack(held=_held(held), reason=reason, requeue=requeue, final=final))

    def replay(self, ids: Sequence[str] | None = None) -> Sequence[str]:
        """Queue failed messages again (None: all); those ids that were failed."""
        return self.call(Replay(ids=None if ids is None else tuple(ids)))

    def discard(self, ids: Sequence[str] | None = None) -> Sequence[str]:
        """Forget failed messages (None: all); those ids that were failed."""
        return self.call(Discard(ids=None if ids is None else tuple(ids)))

    # --- Schedules ----------------------------------------------------------------------------

    def put_schedule(
        self,
        job_id: int,
        cron: str | None,
        *,
        job_name: str = "",
        time_zone: str = "UTC",
        body: Mapping[str, Json] | None = None,
        template: Start | None = None,
        trigger: bool = False,
    ) -> Schedule | None:
        """Start a job by the clock, in place of how it was before; None: no more so.

        Args:
            body: the message of each run.
            template: how each run is enqueued; None: as a start that says nothing besides.
            trigger: start it once at once, too.
        """
        return self.call(
            PutSchedule(
                job_id=job_id,
                job_name=job_name,
                cron=cron,
                time_zone=time_zone,
                body={} if body is None else body,
                template=template,
                trigger=trigger,
            )
        )

    def delete_schedule(self, job_id: int) -> bool:
        """Start a job by the clock no more; whether it did."""
        return self.call(DeleteSchedule(job_id=job_id))

    def schedules(self) -> Sequence[Schedule]:
        """All schedules, by their next run."""
        return self.call(ListSchedules())


class VerbsOf(Verbs):
    """The verbs of whatever has `call`, such as a service in the same process."""

    def __init__(self, service: Callable[[Operation[Any]], Any]) -> None:
        self._service = service

    def call(self, operation: Operation[A]) -> A:
        """Have the service do it."""
        return cast(A, self._service(operation))


def _held(claimed: Claimed | Held) -> Held:
    if isinstance(claimed, Held):
        return claimed
    return Held(id=claimed.id, owner=claimed.owner, move=claimed.move)
