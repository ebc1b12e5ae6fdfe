"""The work queue: it claims tasks, sends them to a worker as jobs, and settles them by its word.

Its rule: it touches nothing but its own. Tasks are claimed under the controller's id; what others
have claimed is neither polled nor settled. Claimed and sent is one task at a time, so whenever a
controller dies, one task at most is claimed and may not have been sent: the newest. Whoever comes
next with the same id finds its claims in the queue, and the jobs at the worker: those that run go
on, those that have ended are settled, the doubtful one waits again unless the worker has it, and
one that was sent and is gone has failed. A worker that is out of reach is asked again, after
pauses that grow; no task fails for it. A job is settled first and deleted then: dying in between
leaves a job to delete, never one to lose.
"""

from __future__ import annotations

import copy
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from labs.errors import LabError
from labs.task_queue.errors import BadTask, UnknownTask
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import (
    LONGEST_DELAY_S,
    Claim,
    Fail,
    Json,
    Success,
    admitted_count,
    admitted_json,
    admitted_name,
    admitted_number,
)
from labs.task_queue.work_queue_claims import Claims, Job
from labs.task_queue.work_queue_patience import WHY_CHARACTERS, Patience, said
from labs.task_queue.workers.base import (
    Report,
    Restartable,
    Telling,
    Worker,
    WorkerUnreachable,
)

log = logging.getLogger(__name__)

LEASE_S = 24 * 3600.0
"""So long after a controller has died for good, its tasks wait again, for others."""
DOWN = (WorkerUnreachable, ConnectionError, TimeoutError)
"""What a worker raises when nobody is to blame."""
TRIES = 3
PATIENT_S = 30.0
"""After so many tries, and so long, a task that alone can't be sent, while the worker answers,
is set aside: others may have more luck."""
SET_ASIDE_S = 300.0
VANISHED = "The worker does not know the job any more: it was sent, and is gone."
NO_REASON = "The worker says that the job has failed, and not why."
SETTLED = (Stage.SUCCESS, Stage.FAIL)


class WorkQueue:
    """Tasks of a queue, run by a worker. Its methods may be called from any thread.

    Args:
        controller: the id under which it claims: its own among all that share the queue, and
            the same after a restart. None: the worker's backend, if that can be found again,
            else one that no other has.
        lease_s: its claims end so long after it was last heard of (each call extends them).
            None: never.
        first_pause_s, longest_pause_s: before a worker out of reach is asked again.

    Raises:
        BadTask: an argument can't be meant.
    """

    def __init__(
        self,
        queue: TaskQueue,
        worker: Worker,
        *,
        controller: str | None = None,
        lease_s: float | None = LEASE_S,
        first_pause_s: float = 1.0,
        longest_pause_s: float = 60.0,
    ) -> None:
        if controller is None:
            controller = worker.backend if isinstance(worker, Restartable) else _unique()
        self.controller = admitted_name(controller, "A controller's id")
        if lease_s is not None:
            lease_s = admitted_number(lease_s, "lease_s", 0.001, LONGEST_DELAY_S)
        self._queue = queue
        self._interface = worker
        self._claims = Claims(queue, self.controller, lease_s)
        self._patience = Patience(
            admitted_number(first_pause_s, "first_pause_s", 0),
            admitted_number(longest_pause_s, "longest_pause_s", 0),
        )
        self._lock = threading.RLock()
        self._statuses: dict[str, Stage] | None = None
        """What the worker last said; None: it was not asked in this life."""
        self._to_delete: dict[str, None] = {}
        """Jobs that are over for us, and still at the worker."""

    @property
    def queue(self) -> TaskQueue:
        """The queue whose tasks are run."""
        return self._queue

    @property
    def worker(self) -> Worker:
        """The worker that runs them."""
        return self._interface

    @property
    def trouble(self) -> str:
        """Why the worker is out of reach, in words; empty while it answers."""
        return self._patience.reason

    @property
    def resting_s(self) -> float:
        """For how much longer a worker that is out of reach is left alone; 0 while it is not."""
        return self._patience.left_s

    @property
    def jobs(self) -> dict[str, Json]:
        """The bodies of the tasks that this controller has claimed, by id."""
        with self._lock:
            return {id_: job.claim.body for id_, job in self._claims.jobs.items()}

    def get_queue_size(self, queue_item_stage: Stage) -> int:
        """How many tasks of the queue are in a stage, whoever works on them."""
        return self._queue.size(queue_item_stage)

    # --- Starting jobs ------------------------------------------------------------------------

    def push_next_jobs(self, n_jobs: int = 1) -> list[Claim]:
        """Claim up to so many tasks and send them to the worker.

        A job that the worker refuses fails with its reason, and the others go on.

        Returns:
            Those that were sent, as (id, body) pairs; none while the worker is out of reach.

        Raises:
            BadTask: it is no number of jobs.
            StoreUnreachable: call it again; nothing is lost.
        """
        left = iter(range(admitted_count(n_jobs, "n_jobs", 0)))
        return self.push_while(lambda: next(left, None) is not None)

    def push_while(
        self, room: Callable[[], bool], fits: Callable[[Claim], bool] = lambda _: True
    ) -> list[Claim]:
        """Claim tasks and send them, one by one: what release strategies are made of.

        Others claim at the same time, and what was looked at before a claim may be different
        after it. So both are asked, and what does not fit is handed back, unsent.

        Args:
            room: asked before each claim; False ends it.
            fits: asked after each claim, which is counted by then; False ends it.

        Returns, Raises:
            As `push_next_jobs`.
        """
        with self._lock:
            pushed: list[Claim] = []
            while self._is_ready() and room():
                job = self._claims.claim()
                if job is None:
                    break
                if not fits(job.claim):
                    self._claims.hand_back(job)
                    break
                if self._send(job):
                    pushed.append(job.claim)
                elif self._claims.doubtful():
                    break
            return pushed

    def _is_ready(self) -> bool:
        """Whether a task may be claimed: no other is in doubt, and the worker is there."""
        self._keep_up()
        unsure = self._statuses is None or self._patience.reason or self._claims.doubtful()
        if unsure and not self._patience.resting:
            self.update_job_status()
        return not self._patience.reason and not self._claims.doubtful()

    def _send(self, job: Job) -> bool:
        """Send a job; False: it has failed, or it is in doubt and will be sent again."""
        id_, body = job.claim
        job.since_s = job.since_s if job.tries else time.monotonic()
        job.tries += 1
        try:
            if self._statuses and id_ in self._statuses:  # left over from an earlier attempt
                self._delete(id_)
            self._interface.send_job(id_, copy.deepcopy(body))
        except DOWN as error:
            job.why = said(error)
            self._patience.rest(error)
            return False
        except Exception as error:  # noqa: BLE001 - a worker may say it in whatever exception
            log.warning("The job %r can't be run: %s", id_, said(error))
            self._settle([Fail(job.claim, f"The job can't be run: {said(error)}")])
            return False
        job.sent, job.tries = True, 0
        return True

    # --- Settling them ------------------------------------------------------------------------

    def update_job_status(self) -> dict[str, Stage]:
        """Ask the worker, and settle the jobs that have ended; those that run go on.

        While the worker is out of reach nothing changes; see `trouble`.

        Returns:
            How the jobs that were settled have ended, by id.

        Raises:
            StoreUnreachable: call it again; nothing is lost.
        """
        with self._lock:
            self._keep_up()
            if self._patience.resting or not self._poll():
                return {}
            outcomes: list[Success | Fail] = []
            with suppress(*DOWN):  # the rest will be asked for next time
                for job in list(self._claims.jobs.values()):
                    if outcome := self._outcome_of(job):
                        outcomes.append(outcome)
            settled = self._settle(outcomes)
            self._delete_all()
            self._send_doubtful()
            return settled

    def _poll(self) -> bool:
        try:
            said_of = self._interface.poll_all_status()
            statuses = {id_: Stage(stage) for id_, stage in said_of.items()}
        except Exception as error:  # whatever it is, it says nothing of any job
            if not isinstance(error, (*DOWN, LabError)):
                log.exception("The worker's poll_all_status failed")
            self._patience.rest(error)
            for job in self._claims.doubtful():  # it is not the task
                job.tries = 0
            return False
        self._patience.well()
        if self._statuses is None:
            self._find_leftovers(statuses)
        self._statuses = statuses
        return True

    def _find_leftovers(self, statuses: Mapping[str, Stage]) -> None:
        """Jobs that were settled in an earlier life, which had no time to delete them."""
        for id_, stage in statuses.items():
            if stage in SETTLED and id_ not in self._claims.jobs:
                with suppress(UnknownTask, BadTask):  # another queue's
                    if self._queue.lookup_status(id_) in SETTLED:
                        self._to_delete[id_] = None

    def _outcome_of(self, job: Job) -> Success | Fail | None:
        """How a job has ended; None if it has not, or is to be sent."""
        stage = (self._statuses or {}).get(job.claim.id)
        if stage is None:
            return Fail(job.claim, VANISHED) if job.sent else None
        if not job.sent:
            job.sent, job.tries = True, 0
        if stage not in SETTLED:
            return None
        report = self._report_of(job)
        if stage is Stage.SUCCESS:
            return Success(job.claim, _as_json(report.result))
        return Fail(job.claim, report.reason or NO_REASON)

    def _report_of(self, job: Job) -> Report:
        if not isinstance(self._interface, Telling):
            return Report()
        job.tries += 1
        try:
            return self._interface.explain(job.claim.id)
        except Exception as error:
            if isinstance(error, DOWN) and job.tries < TRIES:
                raise
            log.exception("Nobody can tell what came of %r; it is settled", job.claim.id)
            return Report()

    def _settle(self, outcomes: list[Success | Fail]) -> dict[str, Stage]:
        if not outcomes:
            return {}
        refused = self._queue.settle(outcomes)
        settled = {}
        for outcome in outcomes:
            assert isinstance(outcome.task, Claim)
            id_ = outcome.task.id
            del self._claims.jobs[id_]
            if self._statuses and id_ in self._statuses:
                self._to_delete[id_] = None
            if id_ in refused:
                log.warning("The job %r has ended, and counts no more: %s", id_, refused[id_])
            else:
                settled[id_] = Stage.SUCCESS if isinstance(outcome, Success) else Stage.FAIL
        return settled

    def _delete_all(self) -> None:
        for id_ in [id_ for id_ in self._to_delete if id_ not in self._claims.jobs]:
            try:
                self._delete(id_)
            except DOWN:
                log.warning("The job %r can't be deleted yet", id_, exc_info=True)
                self._to_delete[id_] = self._to_delete.pop(id_)  # next time the others first
                return

    def _delete(self, id_: str) -> None:
        try:
            self._interface.delete_job(id_)
        except DOWN:
            raise
        except Exception:  # it is settled, and must not keep others from it
            log.warning("The job %r can't be deleted yet", id_, exc_info=True)
        else:
            self._to_delete.pop(id_, None)
            (self._statuses or {}).pop(id_, None)

    def _send_doubtful(self) -> None:
        """Send again what the worker does not have; what we have not tried to send waits again."""
        for job in self._claims.doubtful():
            if not job.since_s:  # nobody has asked yet whether there is room for it
                self._claims.hand_back(job)
            elif job.tries >= TRIES and time.monotonic() - job.since_s >= PATIENT_S:
                log.warning("The task %r is set aside: %s", job.claim.id, job.why)
                self._claims.hand_back(job, delay_s=SET_ASIDE_S)
            elif not self._patience.resting:
                self._send(job)

    # --- Holding them -------------------------------------------------------------------------

    def processing(self) -> dict[str, Json]:
        """The bodies of all tasks that are PROCESSING, whoever works on them, by id."""
        with self._lock:
            return self._claims.processing()

    def count_processing(self, up_to: int) -> int:
        """How many tasks are PROCESSING, whoever works on them; it does not count beyond."""
        return len(self._queue.lookup_state(Stage.PROCESSING, limit=up_to)) if up_to else 0

    def _keep_up(self) -> None:
        """Know what is ours, and hold it."""
        if self._claims.must_look:
            found = self._claims.look()
            ids = [task.id for task in found]
            sent = ids[:-1] if self._statuses is None else []
            if isinstance(self._interface, Restartable):
                self._interface.take_up(sent, ids[len(sent) :])
            self._claims.take_up(found, sent)
        self._to_delete |= dict.fromkeys(self._claims.extend())


def _unique() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _as_json(result: object) -> Json:
    """The result, or what it looks like: one that is no JSON must not keep others unsettled."""
    try:
        admitted_json(result, "The result")
    except BadTask:
        return repr(result)[:WHY_CHARACTERS]
    return result
