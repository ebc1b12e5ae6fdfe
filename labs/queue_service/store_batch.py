"""The work of one transaction: what was read, how it is to be, and whom that concerns.

The verbs (starts, dispatch, ticks) read by `load`, change by `move`, and look at nothing else:
within the queue's lock that is the truth. `flush` has what has changed written (`store_changes`).
What a message's end or start means for others (those who wait for its job) `settle_down` carries
on with until nothing changes any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labs.queue_service import rules
from labs.queue_service.messages import LIVE, State
from labs.queue_service.operations import Start
from labs.queue_service.rules import Blocked, Job, Line
from labs.queue_service.store import Store
from labs.queue_service.store_changes import Changes
from labs.queue_service.store_rows import Build, build_of
from labs.task_queue.sql import SqlQueue
from labs.task_queue.sql_database import Session
from labs.task_queue.stages import Move
from labs.task_queue.tasks import Json, Moved

WOKEN_AT_ONCE = 500
"""If more wait for a job, the next transaction goes on with them."""
BY_MOVE = {
    Move.SUCCEED: State.DONE,
    Move.FAIL: State.FAILED,
    Move.GIVE_UP: State.FAILED,
    Move.RETRY: State.QUEUED,
    Move.RELEASE: State.QUEUED,
    Move.EXPIRE: State.QUEUED,
}
"""What a move of a task that was claimed means for its message."""
COUNTED_BY_JOB = {
    State.RUNNING: "running",
    State.QUEUED: "queued",
    State.BLOCKED: "blocked",
    State.FROZEN: "frozen",
}
FREEING = (State.RUNNING, State.QUEUED, State.BLOCKED)
"""Whoever leaves one of these may have been in somebody's way."""


@dataclass(frozen=True, slots=True)
class Told:
    """Remembers the moves of a line's tasks."""

    moves: list[Moved]

    def record(self, moves: Sequence[Moved]) -> None:
        """As the task queue's recorder."""
        self.moves.extend(moves)


class Batch:
    """One transaction's work."""

    def __init__(self, store: Store, session: Session, now: float, last_seq: int) -> None:
        self.store, self.session, self.now = store, session, now
        self.claimable: set[str] = set()
        """Build clusters in whose lines something can be claimed that could not before."""
        self.unseen: set[str] = set()
        """Build clusters of whose lines not enough was seen to say that nothing can be claimed."""
        self.is_unfinished = False
        """Whether there is more to be woken, in the next transaction."""
        self.frozen: dict[int, Build] = {}
        self.waited_s: list[float] = []
        """How long each message that was handed out had been due."""
        self._builds: dict[str, Build | None] = {}
        self._jobs: dict[int, Job] = {}
        self._lines: dict[int, Line] = {}
        self._changes = Changes(store, session, now, self.tasks)
        self._freed: dict[int, None] = {}
        self._parts: dict[str, SqlQueue] = {}
        self._told = Told([])
        self._last_seq = last_seq

    # --- Reading ------------------------------------------------------------------------------

    def load(self, ids: Iterable[str]) -> None:
        """Read messages, and how their jobs stand and those that block them."""
        missing = [id_ for id_ in dict.fromkeys(ids) if id_ not in self._builds]
        self._builds |= dict.fromkeys(missing)
        rows = self.store.by_key(self.session, self.store.say.builds, missing)
        self.adopt(build_of(row) for row in rows)

    def adopt(self, found: Iterable[Build]) -> list[Build]:
        """Take over messages that were just read, and read their jobs, and what blocks those that
        have not ended; those known stay."""
        adopted = []
        for build in found:
            known = self._builds.get(build.id)
            self._builds[build.id] = known or build
            adopted.append(known or build)
        self.load_jobs(one.job_id for one in adopted)
        self.load_jobs(job for one in adopted if one.state in LIVE for job in one.blocked_by)
        return adopted

    def find(self, id_: str) -> Build | None:
        """A message that was loaded."""
        return self._builds[id_]

    def load_jobs(self, ids: Iterable[int]) -> None:
        """Read how jobs stand."""
        missing = [id_ for id_ in dict.fromkeys(ids) if id_ not in self._jobs]
        for row in self.store.by_key(self.session, self.store.say.jobs, missing):
            self._jobs[row[0]] = Job(*row)
        for id_ in missing:
            self._jobs.setdefault(id_, Job(id_))

    def job(self, id_: int) -> Job:
        """How a job stands."""
        if id_ not in self._jobs:
            self.load_jobs([id_])
        return self._jobs[id_]

    def load_lines(self, ids: Iterable[int]) -> None:
        """Read the ends of jobs' lines, and their frozen messages."""
        wanted = [id_ for id_ in dict.fromkeys(ids) if id_ not in self._lines]
        standing = []
        for id_ in wanted:
            job, self._lines[id_] = self.job(id_), Line()
            if job.queued or job.blocked or job.frozen:
                standing.append(id_)
        if not standing:
            return
        self.flush()
        rows = self.store.by_key(self.session, self.store.say.ends, standing)
        self.load(id_ for row in rows for id_ in row[1:] if id_)
        for row in rows:
            self.frozen.pop(row[0], None)
            ends = [self._builds[id_] for id_ in row[1:] if id_]
            for build in ends:
                if build is not None and build.state is State.FROZEN:
                    self.frozen[row[0]] = build
                elif build is not None:
                    self._lines[row[0]].add(build, blocked=build.state is State.BLOCKED)

    def line(self, job_id: int) -> Line:
        """The line of a job."""
        if job_id not in self._lines:
            self.load_lines([job_id])
        return self._lines[job_id]

    def tasks(self, cluster: str) -> SqlQueue:
        """The task queue of a build cluster, within this transaction."""
        if cluster not in self._parts:
            self._parts[cluster] = self.store.line(cluster).within(self.session, self._told)
        return self._parts[cluster]

    # --- Changing -----------------------------------------------------------------------------

    def next_seq(self) -> int:
        """The place of a new message among all."""
        self._last_seq += 1
        return self._last_seq

    def add(self, build: Build, start: Start, body: Json) -> None:
        """Take a new message in; `move` then brings it into its first state."""
        self._changes.new[build.id] = build, start, body
        self._builds[build.id] = build
        job = self.job(build.job_id)
        job.top_number = max(job.top_number, build.number)
        self._changes.jobs[job.job_id] = job

    def move(self, build: Build, state: State) -> None:
        """Bring a message into another state."""
        was = build.state
        if was is not state and build.is_placed:
            self._count(build, -1)
            # Whose turn has come stays before the rest of its line.
            its_turn = was is State.BLOCKED and state is State.QUEUED and build.blocks_self
            if was in FREEING and not its_turn:
                self._freed[build.job_id] = None
        if was is not state or not build.is_placed:
            build.state, build.is_placed = state, True
            self._count(build, 1)
            if state is State.RUNNING:
                self.waited_s.append(max(0.0, self.now - build.due))
        self._note(build)

    def change(self, build: Build) -> None:
        """Have it written that something about a message has changed."""
        if build.id not in self._changes.new:
            self._changes.builds[build.id] = build

    def forget_line(self, job_id: int) -> None:
        """Read a line again before it is looked at: somebody has left it."""
        self._lines.pop(job_id, None)

    def drop(self, builds: Sequence[Build]) -> None:
        """Delete messages that are over with, and what is known of jobs that have no others."""
        for build in builds:
            self._changes.counts[build.cluster, build.state] -= 1
            self._builds[build.id] = None
        self.flush()
        keys = [{"key": build.id} for build in builds]
        self.store.run(self.session, self.store.say.forget, keys)
        for line in {build.line for build in builds}:
            of_line = [{"key": build.id} for build in builds if build.line == line]
            self.store.run(self.session, self.store.say.forget_tasks, of_line, line=line)
        jobs = [self.job(id_) for id_ in {build.job_id for build in builds}]
        idle = [job.job_id for job in jobs if job.is_idle]
        self.store.by_key(self.session, self.store.say.forget_jobs, idle)

    def absorb(self) -> None:
        """Let messages follow what their tasks have done."""
        moves, self._told.moves[:] = list(self._told.moves), []
        told = [(one.id, BY_MOVE[one.move]) for one in moves if one.move in BY_MOVE]
        self.load(id_ for id_, _ in told)
        for id_, state in told:
            build = self._builds[id_]
            if build is not None and build.state is State.RUNNING:
                build.settled = state not in LIVE
                build.parked = False
                if state is State.QUEUED:
                    build.owner = None
                self.move(build, state)
                self.forget_line(build.job_id)

    def _note(self, build: Build) -> None:
        """What follows of a message's state for its other columns."""
        self.change(build)
        if build.state is State.RUNNING:
            self.has_run(build)
        if build.state is not State.BLOCKED:
            build.waits_for = None
        if build.state in LIVE:
            build.ended_at = None
        elif build.ended_at is None:
            build.ended_at = self.now
        if build.state is State.RUNNING or build.state not in LIVE:
            build.look_at = None
        if build.state is State.QUEUED:
            build.look_at = build.due if build.virtual else None
            self.claimable.add(build.cluster)

    def has_run(self, build: Build) -> None:
        """A build of its job has started."""
        job = self.job(build.job_id)
        build.started_at = job.started_at = self.now
        if build.number >= job.last_number:
            job.last_number, job.last_id = build.number, build.id
        self._changes.jobs[job.job_id] = job

    def _count(self, build: Build, n: int) -> None:
        self._changes.counts[build.cluster, build.state] += n
        job = self.job(build.job_id)
        self._changes.jobs[job.job_id] = job
        if name := COUNTED_BY_JOB.get(build.state):
            setattr(job, name, getattr(job, name) + n)

    # --- Who may run --------------------------------------------------------------------------

    def decide(self, build: Build) -> None:
        """Queue a message, or let it wait: as the rules say."""
        line = self.line(build.job_id)
        why = rules.blocked(build, line.head, self.job, self.now)
        if why is None:
            self.let_run(build)
            return
        self.move(build, State.BLOCKED)
        build.waits_for, build.look_at = why.by, why.until

    def park(self, build: Build, why: Blocked) -> None:
        """Let a message wait though its turn had come, or give way to a newer one that waits."""
        if newer := rules.newer_blocked(build, self.line(build.job_id)):
            self.collapse(build, newer.id)
            return
        self.move(build, State.BLOCKED)
        build.waits_for, build.look_at = why.by, why.until

    def collapse(self, build: Build, newer: str) -> None:
        """Let a newer message stand for this one."""
        build.replaced_by, build.reason = newer, f"Collapsed to build: {newer}"
        self.move(build, State.COLLAPSED)

    def let_run(self, build: Build) -> None:
        """Nothing blocks it: it can be claimed, or, if it is virtual, is done."""
        if build.virtual and build.due <= self.now:
            self.has_run(build)
            self.move(build, State.DONE)
        else:
            self.move(build, State.QUEUED)

    def settle_down(self) -> None:
        """Look at all who wait for a job that has been freed, until nothing changes."""
        woken = 0
        while self._freed:
            freed, self._freed = list(self._freed), {}
            jobs = [self.job(id_) for id_ in freed]
            self.load_lines(job.job_id for job in jobs if job.blocked)
            for job in jobs:
                if job.blocked:
                    woken += self._look_at_head(job.job_id)
            woken += self._look_at_others([job for job in jobs if not job.running], woken)

    def resume(self, jobs: Iterable[Job]) -> None:
        """Go on with those who wait for jobs where an earlier transaction has stopped."""
        for job in jobs:
            known = self._jobs.setdefault(job.job_id, job)
            known.waking = False
            self._changes.jobs[known.job_id] = known
            self._freed[known.job_id] = None

    def _look_at_head(self, job_id: int) -> int:
        head = self.line(job_id).head
        return self.look_at(head) if isinstance(head, Build) else 0

    def look_at(self, build: Build) -> int:
        """Decide anew on a message that is blocked; 1 if it waits no more."""
        self.load_jobs([build.job_id, *build.blocked_by])
        before, is_changed = (build.waits_for, build.look_at), build.id in self._changes.builds
        self.decide(build)
        if build.state is State.BLOCKED:
            if not is_changed and before == (build.waits_for, build.look_at):
                self._changes.builds.pop(build.id, None)
            return 0
        self.forget_line(build.job_id)
        return 1

    def _look_at_others(self, jobs: Sequence[Job], woken: int) -> int:
        """Those of other jobs who wait for these; how many wait no more."""
        if not jobs:
            return 0
        self.flush()
        ids = [job.job_id for job in jobs]
        count = 0
        for (id_,) in self.store.by_key(self.session, self.store.say.waited_for, ids):
            room = max(0, WOKEN_AT_ONCE - woken - count)
            rows = self.store.run(self.session, self.store.say.waiters, job_id=id_, n=room + 1)
            if len(rows) > room:
                job = self.job(id_)
                job.waking, self.is_unfinished = True, True
                self._changes.jobs[id_] = job
            waiters = self.adopt(build_of(row) for row in rows[:room])
            self.load_lines(one.job_id for one in waiters)
            count += sum(self._look_at_waiter(one) for one in waiters)
        return count

    def _look_at_waiter(self, build: Build) -> int:
        if build.state is not State.BLOCKED:
            return 0
        return self.look_at(build)

    def flush(self) -> None:
        """Write all that has changed."""
        self._changes.write()
