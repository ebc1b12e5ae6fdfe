"""Any history of starts, claims, ends and stops, held against a few invariants and a small model.

After each step all tables are read, past the service: what stands in them must be right by
itself (each blocked message has something that blocks it, each number is what one counts), and
what the step answered must be what the model expects. At the end everything is claimed and
acked, and nothing may be left over. Two instances take turns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from labs.queue_service.messages import LIVE, Claimed, State
from labs.queue_service.operations import Discard, Replay, Stop, StopFrozen, Thaw, Tick
from labs.queue_service.service import QueueService
from labs.queue_service.store_rows import Build, build_of
from labs.queue_service.store_text import BUILD
from labs.task_queue.errors import ClaimLost
from labs.task_queue.sql_values import time_of
from labs.task_queue.stages import Stage
from labs.waiting import wait_until
from tests.queue_service.grounds import TIMEOUT_S, Ground, ack, claim, nack, put

JOBS = (1, 2, 3)
BLOCKED_BY = [(), (1,), (2,), (1, 2), (2, 1), (1, 2, 3), (3,)]
ALWAYS = ("* * * * ?",)
FROZEN = ("* 0-22 * * ?", "* 23 ? * *")
"""Together they leave nothing free, and so don't count; one alone freezes for hours."""
STAGES = {
    State.QUEUED: Stage.WAITING,
    State.BLOCKED: Stage.WAITING,
    State.FROZEN: Stage.WAITING,
    State.RUNNING: Stage.PROCESSING,
    State.DONE: Stage.SUCCESS,
    State.FAILED: Stage.FAIL,
    State.COLLAPSED: Stage.FAIL,
    State.STOPPED: Stage.FAIL,
}
BY_JOB = (State.RUNNING, State.QUEUED, State.BLOCKED, State.FROZEN)


@dataclass
class Row:
    """A message and its task, as they stand in the tables."""

    build: Build
    stage: Stage
    wakes: datetime | None
    priority: int
    place: int

    @property
    def age(self) -> tuple[int, int]:
        """Its place in its job's line."""
        return self.build.number, self.build.seq


@dataclass
class Dump:
    """All tables of a queue at one time."""

    rows: dict[str, Row]
    jobs: dict[int, dict[State, int]]
    counts: Counter[State]
    now: float = field(default_factory=lambda: datetime.now(UTC).timestamp())

    @classmethod
    def of(cls, service: QueueService) -> Dump:
        """Read them, past the service."""
        store = service.store
        asked = f"""SELECT {BUILD}, t.stage, t.wake, t.priority, t.seq FROM lab_builds AS b
            JOIN lab_tasks AS t ON t.queue = b.line AND t.id = b.id WHERE b.queue = :queue"""  # noqa: S608
        jobs = "SELECT job_id, running, queued, blocked, frozen FROM lab_build_jobs WHERE queue = "
        with store.database.session() as session:
            rows = session.run(store.database.compiled(asked), {"queue": store.name})
            of_jobs = session.run(store.database.compiled(jobs + ":queue"), {"queue": store.name})
            counts = store.run(session, store.say.counts)
        found = {}
        for row in rows:
            stage, wake, priority, place = row[-4:]
            build = build_of(row[:-4])
            wakes = None if wake is None else time_of(wake)
            found[build.id] = Row(build, Stage(stage), wakes, priority, place)
        return cls(
            found,
            {row[0]: dict(zip(BY_JOB, row[1:], strict=True)) for row in of_jobs},
            Counter({State(state): int(n) for state, n in counts if n}),
        )

    def of_job(self, job_id: int, *states: State) -> list[Row]:
        """A job's messages in these states."""
        return [
            row
            for row in self.rows.values()
            if row.build.job_id == job_id and row.build.state in states
        ]

    def blocker_runs(self, build: Build) -> bool:
        """Whether a build runs that keeps this one from running."""
        others = [job for job in build.blocked_by if job != build.job_id]
        if any(self.of_job(job, State.RUNNING) for job in others):
            return True
        return build.blocks_self and bool(self.of_job(build.job_id, State.RUNNING))

    def has_a_reason(self, row: Row) -> bool:
        """Whether there is something that a blocked message waits for."""
        build = row.build
        if self.blocker_runs(build):
            return True
        if not build.blocks_self:
            return False
        line = self.of_job(build.job_id, State.BLOCKED)
        return bool(self.of_job(build.job_id, State.QUEUED)) or any(
            other.age < row.age for other in line
        )

    def next_in_line(self) -> tuple[str | None, bool]:
        """What a claim is to take, and whether somebody is before it who can't run."""
        ready = [
            row
            for row in self.rows.values()
            if row.build.state is State.QUEUED
            and (row.wakes is None or row.wakes <= datetime.now(UTC))
        ]
        ready.sort(key=lambda row: (-row.priority, row.place))
        free = [one.build.id for one in ready if not self.blocker_runs(one.build)]
        first = free[0] if free else None
        return first, bool(ready) and ready[0].build.id != first


class Model(RuleBasedStateMachine):
    """Two instances, and what is known of the messages."""

    def __init__(self, services: Sequence[QueueService]) -> None:
        super().__init__()
        self.services = services
        self.turn = 0
        self.hands: dict[str, Claimed] = {}
        """Claims that hold."""
        self.lost: list[Claimed] = []
        """Those that don't any more."""
        self.known: set[str] = set()
        self.empty()
        self.seen = self.dump()
        """The tables after the last step."""

    def has(self, state: State) -> bool:
        """Whether there is a message in this state."""
        return any(row.build.state is state for row in self.seen.rows.values())

    @initialize(jobs=st.lists(st.sampled_from(JOBS), min_size=4, max_size=4))
    def begin(self, jobs: list[int]) -> None:
        """Some builds, so that there is something to do from the first step on."""
        for n, job in enumerate(jobs):
            blocked_by = (job, JOBS[n % len(JOBS)])
            options = {"collapse": n > 2, "backoff_s": 0.0, "max_attempts": 2}
            put(self.service, 20 + n, job, blocked_by=blocked_by, **options)
            self.known.add(str(20 + n))

    @property
    def service(self) -> QueueService:
        """The instance whose turn it is."""
        self.turn += 1
        return self.services[self.turn % len(self.services)]

    def dump(self) -> Dump:
        """All tables."""
        return Dump.of(self.services[0])

    @rule(
        build=st.integers(1, 14),
        job=st.sampled_from(JOBS),
        blocked_by=st.sampled_from(BLOCKED_BY),
        own=st.sampled_from([True, True, True, False]),
        collapse=st.booleans(),
        priority=st.sampled_from([0, 0, 0, 1]),
        special=st.sampled_from(["", "", "", "", "virtual", "frozen", "forced", "soft", "delayed"]),
        attempts=st.sampled_from([1, 2]),
    )
    def start(
        self,
        build: int,
        job: int,
        blocked_by: tuple[int, ...],
        own: bool,
        collapse: bool,
        priority: int,
        special: str,
        attempts: int,
    ) -> None:
        before = self.seen
        answer = put(
            self.service,
            build,
            job,
            blocked_by=(job, *blocked_by) if own else blocked_by,
            collapse=collapse,
            priority=priority,
            virtual=special == "virtual",
            freeze_windows=FROZEN[:1] if special in ("frozen", "forced") else (),
            force=special == "forced",
            blocked_by_same_job=special != "soft",
            delay_s=3600.0 if special == "delayed" else 0.0,
            max_attempts=attempts,
            backoff_s=0.0,
        )
        assert answer.id == str(build)
        assert answer.created == (answer.id not in self.known)
        if not answer.created:
            assert answer.state is before.rows[answer.id].build.state
        self.known.add(answer.id)
        assert self.dump().rows[answer.id].build.state is answer.state

    @precondition(lambda self: self.has(State.QUEUED))
    @rule()
    def claim_one(self) -> None:
        before = self.seen
        claimed = claim(self.service)
        expected, is_passed_over = before.next_in_line()
        if not is_passed_over:
            assert [one.id for one in claimed] == [id_ for id_ in [expected] if id_]
        elif expected:  # or one that was woken meanwhile, in the line of who was passed over
            assert claimed
        for one in claimed:
            assert not before.blocker_runs(before.rows[one.id].build)
            self.hands[one.id] = one

    @precondition(lambda self: self.has(State.QUEUED))
    @rule(n=st.integers(2, 4))
    def claim_some(self, n: int) -> None:
        running = self.seen
        claimed = claim(self.service, n)
        after = self.dump()
        for one in claimed:
            build = after.rows[one.id].build
            assert not running.blocker_runs(build), f"{one.id} runs beside what blocks it"
            assert one.id not in self.hands
            # As if they had been claimed one after the other.
            running.rows[one.id] = after.rows[one.id]
            self.hands[one.id] = one

    @precondition(lambda self: self.hands)
    @rule(which=st.integers(0, 9), good=st.booleans(), final=st.booleans(), back=st.booleans())
    def settle(self, which: int, good: bool, final: bool, back: bool) -> None:
        one = list(self.hands.values())[which % len(self.hands)]
        del self.hands[one.id]
        self.lost.append(one)
        if good:
            assert ack(self.service, one) is State.DONE
        elif back:
            assert nack(self.service, one, requeue=True) is State.QUEUED
        else:
            expected = State.FAILED if final or one.attempt >= 2 else None
            answer = nack(self.service, one, reason="no", final=final)
            assert answer in (State.QUEUED, State.FAILED)
            assert expected in (None, answer)

    @precondition(lambda self: self.lost)
    @rule(which=st.integers(0, 9))
    def settle_what_is_lost(self, which: int) -> None:
        one = self.lost[which % len(self.lost)]
        before = self.seen
        try:
            nack(self.service, one, reason="late")
        except ClaimLost:
            assert {k: v.build.state for k, v in self.dump().rows.items()} == {
                k: v.build.state for k, v in before.rows.items()
            }
        except KeyError:
            assert one.id not in self.known
        else:
            raise AssertionError(f"{one} is not held any more")

    @precondition(lambda self: self.has(State.QUEUED))
    @rule()
    def let_a_lease_run_out(self) -> None:
        claimed = claim(self.service, lease_s=0.001)
        self.lost += claimed
        ends = [one.lease_ends for one in claimed]
        wait_until(
            lambda: all(datetime.now(UTC) > end for end in ends), TIMEOUT_S, interval_s=0.002
        )
        self.service.call(Tick())
        after = self.dump()
        for one in claimed:
            assert after.rows[one.id].build.state is not State.RUNNING

    @rule(build=st.sampled_from([1, 2, 3, 4, 20, 21, 22, 23]))
    def stop(self, build: int) -> None:
        before = self.seen.rows.get(str(build))
        answer = self.service.call(Stop(build_id=build))
        was = before.build.state if before else None
        assert answer.was is was
        assert answer.stopped == (was is None or was in LIVE)
        self.known.add(answer.id)
        if answer.stopped:
            assert self.dump().rows[answer.id].build.state is State.STOPPED
            if one := self.hands.pop(answer.id, None):
                self.lost.append(one)

    @precondition(lambda self: self.has(State.FROZEN))
    @rule(job=st.sampled_from(JOBS), go=st.booleans())
    def unfreeze(self, job: int, go: bool) -> None:
        frozen = self.seen.of_job(job, State.FROZEN)
        if not go:
            assert self.service.call(StopFrozen(job_id=job)).stopped == bool(frozen)
        elif frozen:
            answer = self.service.call(Thaw(job_id=job))
            assert answer.id == frozen[0].build.id
            assert answer.state is not State.FROZEN

    @precondition(lambda self: self.has(State.FAILED))
    @rule(again=st.booleans())
    def take_up_what_has_failed(self, again: bool) -> None:
        failed = {k for k, v in self.seen.rows.items() if v.build.state is State.FAILED}
        if again:
            assert set(self.service.call(Replay(ids=None))) == failed
        else:
            assert set(self.service.call(Discard(ids=None))) == failed
            self.known -= failed

    @invariant()
    def the_tables_are_right_by_themselves(self) -> None:
        dump = self.seen = self.dump()
        assert set(dump.rows) == self.known, "a message is lost, or comes from nowhere"
        states = Counter(row.build.state for row in dump.rows.values())
        assert dump.counts == states
        for job_id in JOBS:
            told = dump.jobs.get(job_id, dict.fromkeys(BY_JOB, 0))
            assert told == {state: len(dump.of_job(job_id, state)) for state in BY_JOB}
            assert len(dump.of_job(job_id, State.FROZEN)) <= 1
            collapsible = [row for row in dump.of_job(job_id, State.BLOCKED) if row.build.collapse]
            assert len(collapsible) <= 1
        for row in dump.rows.values():
            self._is_right(dump, row)

    def _is_right(self, dump: Dump, row: Row) -> None:
        build = row.build
        assert row.stage is STAGES[build.state], f"{build.id} is {build.state}, its task is not"
        assert (build.ended_at is None) == (build.state in LIVE)
        is_parked = row.wakes is not None and row.wakes.timestamp() > dump.now + 24 * 3600
        assert is_parked == build.is_to_be_parked
        if build.state is State.BLOCKED:
            assert dump.has_a_reason(row), f"{build.id} waits for nothing"
            assert build.waits_for is not None
        if build.state is State.COLLAPSED:
            assert build.replaced_by is not None
        assert (build.id in self.hands) == (build.state is State.RUNNING)

    def teardown(self) -> None:
        """All that is left can be worked on to its end; then leave an empty queue."""
        try:
            self.work_off()
        finally:
            self.empty()

    def work_off(self) -> None:
        """Claim and ack all that is left."""
        for job in JOBS:
            self.services[0].call(StopFrozen(job_id=job))
        for one in self.hands.values():
            ack(self.services[0], one)
        while claimed := claim(self.services[0], 10):
            for one in claimed:
                ack(self.services[0], one)
        rows = self.dump().rows.values()
        delayed = [one for one in rows if one.build.due > datetime.now(UTC).timestamp()]
        stuck = [one for one in rows if one.build.state in LIVE and one not in delayed]
        behind = {one.build.job_id for one in delayed}
        stuck = [one for one in stuck if one.build.job_id not in behind]
        assert not stuck, f"{[one.build for one in stuck]} can never run"

    def empty(self) -> None:
        """Forget everything, past the service."""
        store = self.services[0].store
        with store.transaction() as (session, _, _):
            tables = ("builds", "build_jobs", "build_counts")
            for table in (*(f"lab_{name}" for name in tables), "lab_tasks"):
                statement = f"DELETE FROM {table} WHERE queue = :queue"  # noqa: S608
                session.run(store.database.compiled(statement), {"queue": store.name})


SEQUENCES: dict[bool, tuple[int, int]] = {True: (60, 30), False: (8, 25)}
"""How many histories, of how many steps: in SQLite, in PostgreSQL."""


def test_any_history_keeps_what_is_promised(ground: Ground) -> None:
    services: list[Any] = [ground.open(), ground.open()]
    examples, steps = SEQUENCES[ground.is_sqlite]
    run_state_machine_as_test(
        lambda: Model(services),  # type: ignore[arg-type]  # it calls it, and no more
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
