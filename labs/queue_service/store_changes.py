"""What one transaction has changed and has not written yet, and how it is written: by the set.

A `Batch` notes here which messages are new or changed, which jobs, and by how much the counts. A
handful of statements writes them, however many messages it concerns; the tasks follow: put, parked
so that nobody can claim them, to be claimed again, or over with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from labs.queue_service.messages import State
from labs.queue_service.operations import Start
from labs.queue_service.rules import Job
from labs.queue_service.store import Store
from labs.queue_service.store_rows import Build, change_of, row_of
from labs.queue_service.store_text import JOB_COLUMNS
from labs.task_queue.sql import SqlQueue
from labs.task_queue.sql_database import Session
from labs.task_queue.tasks import LONGEST_DELAY_S, Json, NewTask, Success, admitted_json

HOLD_S = 60.0


class Changes:
    """Of one transaction."""

    def __init__(
        self, store: Store, session: Session, now: float, tasks: Callable[[str], SqlQueue]
    ) -> None:
        """Nothing has changed yet.

        Args:
            tasks: the task queue of a build cluster, within this transaction.
        """
        self._store, self._session, self._now, self._tasks = store, session, now, tasks
        self.new: dict[str, tuple[Build, Start, Json]] = {}
        self.builds: dict[str, Build] = {}
        """Messages that were there already."""
        self.jobs: dict[int, Job] = {}
        self.counts: Counter[tuple[str, State]] = Counter()
        """By how much, of each build cluster and state."""

    def write(self) -> None:
        """Write all of it; then there is nothing left to write."""
        new, builds, jobs = list(self.new.values()), self.builds, list(self.jobs.values())
        changed = [build for build in builds.values() if build.id not in self.new]
        counts = [
            {"cluster": cluster, "state": state, "n": n}
            for (cluster, state), n in self.counts.items()
            if n
        ]
        self.new, self.builds, self.jobs, self.counts = {}, {}, {}, Counter()
        run, say = self._store.run, self._store.say
        if new:
            run(self._session, say.insert, [row_of(build) for build, _, _ in new])
            self._put(new)
        if changed:
            run(self._session, say.update, [change_of(build) for build in changed])
        self._write_tasks([*(build for build, _, _ in new), *changed])
        if jobs:
            run(self._session, say.save_jobs, [_job_row(job) for job in jobs])
        if counts:
            run(self._session, say.count, counts)

    def _put(self, new: Sequence[tuple[Build, Start, Json]]) -> None:
        """Put the tasks of new messages, in the order in which they came."""
        of_line: dict[str, list[NewTask]] = {}
        for build, start, body in new:
            task = NewTask(
                id=build.id,
                text=admitted_json(body, f"The body of {build.id!r:.80}"),
                priority=start.priority,
                delay_s=start.delay_s if build.due > self._now else 0.0,
                max_attempts=start.max_attempts,
                backoff_s=start.backoff_s,
            )
            of_line.setdefault(build.cluster, []).append(task)
        for cluster, tasks in of_line.items():
            self._tasks(cluster).put_each(tasks)

    def _write_tasks(self, builds: Sequence[Build]) -> None:
        """Let the tasks follow the messages: parked, to be claimed again, or over with."""
        delays: dict[tuple[str, float], list[str]] = {}
        done: dict[str, list[str]] = {}
        refused: dict[str, dict[str, str]] = {}
        for build in builds:
            if build.is_to_be_settled and not build.settled:
                if build.state is State.DONE:
                    done.setdefault(build.cluster, []).append(build.id)
                else:
                    refused.setdefault(build.cluster, {})[build.id] = build.reason
            wakes = build.parked and not build.is_to_be_parked
            if build.is_to_be_parked and not build.parked:
                delays.setdefault((build.cluster, LONGEST_DELAY_S), []).append(build.id)
            elif wakes and build.state in (State.QUEUED, State.DONE):
                delay_s = max(0.0, build.due - self._now)
                delays.setdefault((build.cluster, delay_s), []).append(build.id)
            build.stored()
        for (cluster, delay_s), ids in delays.items():
            self._tasks(cluster).postpone(ids, delay_s)
        for cluster, ids in done.items():
            claims = self._tasks(cluster).take(ids, lease_s=HOLD_S, owner=self._store.name)
            self._tasks(cluster).settle([Success(claim) for claim in claims])
        for cluster, reasons in refused.items():
            for error in self._tasks(cluster).refuse_each(reasons).values():
                raise error


def _job_row(job: Job) -> dict[str, Json]:
    return {name: getattr(job, name) for name in JOB_COLUMNS} | {"waking": int(job.waking)}
