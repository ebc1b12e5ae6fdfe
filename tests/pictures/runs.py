"""Runs of jobs, of requests and of tasks, written down as values, for the pictures of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from labs.pictures.attempts import Attempt, Ending, JobRow
from labs.pictures.builds import BuildRow, Change, Happening
from labs.pictures.partitions import Cell, Lane, Moment, State
from labs.queue_service.messages import Message
from labs.queue_service.messages import State as Build
from labs.task_queue.stages import MOVES, Move
from labs.task_queue.tasks import Moved

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def some_jobs() -> tuple[JobRow, ...]:
    """One polled with growing pauses, one whose worker died, one failed, one still at work."""
    polled = tuple(
        Attempt(start, start + 0.02, Ending.NOT_YET, worker)
        for start, worker in ((0.1, "alice"), (1.12, "bob"), (3.14, "alice"))
    )
    killed = Attempt(0.2, 2.0, Ending.LOST, "alice")
    taken_over = Attempt(1.5, 3.9, Ending.DONE, "bob")
    return (
        JobRow("deploy-1", (*polled, Attempt(7.16, 7.9, Ending.DONE, "bob")), queued_s=0.05),
        JobRow("mail-7", (killed, Attempt(2.05, 3.9, Ending.DONE, "bob")), queued_s=0.05),
        JobRow("in two hands", (killed, taken_over), queued_s=0.05),
        JobRow("日本 <b>", (Attempt(4.0, 4.5, Ending.FAILED, "alice", "KeyError: 'to' & more"),)),
        JobRow("late", (Attempt(6.0, 8.5, Ending.AT_WORK, "alice"),), queued_s=4.0),
        JobRow("nobody's", (), queued_s=8.0),
    )


def many_jobs() -> tuple[JobRow, ...]:
    """A type that is so quick that its attempts don't have room, and more rows than are drawn."""
    quick = tuple(Attempt(n * 0.05, n * 0.05 + 0.002, Ending.DONE, "w1") for n in range(200))
    rest = tuple(JobRow(f"job {n}", (Attempt(n, n + 0.5, Ending.DONE, "w2"),)) for n in range(30))
    return (JobRow("quick", quick), *rest)


def a_replica_dies() -> tuple[Moment, ...]:
    """Two partitions at two moments: alice is killed, bob takes hers where she has committed."""
    done, work = State.DONE, State.IN_WORK
    hers = (Cell("order-1", done, "alice", 0), Cell("order-4", work, "alice", 1))
    his = (Cell("order-2", State.FAILED, "bob", 0), Cell("日本語の注文 <b>", done, "bob", 1))
    waits = (Cell("order-1", offset=2), Cell("order-4", State.PUT_BACK, offset=3))
    again = (hers[0], Cell("order-4", done, "bob", 1, times=2), *waits)
    return (
        Moment(
            "Before: alice is in the middle of offset 1",
            (
                Lane("partition 0", (*hers, *waits), "alice", 1),
                Lane("partition 1", his, "bob", 2),
                Lane("partition 2", (), "bob"),
            ),
        ),
        Moment("After: bob has done it again", (Lane("partition 0", again, "bob", 2),)),
    )


def side_by_side() -> tuple[Moment, ...]:
    """A queue that forgets message by message, a partition that remembers one number."""
    queue = (Cell("a", State.GONE), Cell("b", State.IN_WORK, "alice"), Cell("c", State.GONE))
    log = (Cell("a", State.DONE, offset=0), Cell("b", State.LOST, offset=1))
    return (Moment("At once", (Lane("queue", queue), Lane("partition 0", log, "", 2))),)


def long_lane() -> tuple[Moment, ...]:
    """More records than there is room for."""
    cells = tuple(
        Cell(f"k{n % 3}", State.DONE if n < 85 else State.WAITING, offset=n) for n in range(100)
    )
    return (Moment("Many", (Lane("partition 0", cells, "alice", 85),)),)


class Tasks:
    """Moves of tasks as a queue would tell them: `did("a", Move.CLAIM, 1.5, "alice")`."""

    def __init__(self) -> None:
        self.moves: list[Moved] = []

    def did(self, id_: str, move: Move, at_s: float, owner: str | None = None) -> Tasks:
        """One more move of a task, from wherever it is now."""
        own = [moved for moved in self.moves if moved.id == id_]
        stage = own[-1].stage_to if own else None
        assert stage in MOVES[move].sources
        at, number = NOON + timedelta(seconds=at_s), len(own) + 1
        self.moves.append(Moved(id_, number, move, stage, MOVES[move].target, at, owner))
        return self

    def life(self, id_: str, owner: str, *at_s: float, last: Move = Move.SUCCEED) -> Tasks:
        """Put, claimed and settled at these seconds."""
        put_s, claimed_s, settled_s = at_s
        self.did(id_, Move.PUT, put_s).did(id_, Move.CLAIM, claimed_s, owner)
        return self.did(id_, last, settled_s, owner)


def a_worker_dies() -> list[Moved]:
    """Alice is killed with two tasks in hand, which come back when her leases run out."""
    tasks = Tasks()
    for n in range(8):
        tasks.life(f"task-{n}", "bob", 0, 0.5 + 0.5 * n, 0.9 + 0.5 * n)
    for n in (8, 9):
        tasks.did(f"task-{n}", Move.PUT, 0).did(f"task-{n}", Move.CLAIM, 0.6, "alice")
        tasks.did(f"task-{n}", Move.EXPIRE, 2.6).did(f"task-{n}", Move.CLAIM, n - 3.5, "bob")
        tasks.did(f"task-{n}", Move.SUCCEED, n - 3, "bob")
    return tasks.moves


def every_move() -> list[Moved]:
    """Each move of the table at least once, and names that must be escaped."""
    tasks = Tasks().life("again", "alice", 0, 1, 2, last=Move.RETRY)
    tasks.did("again", Move.CLAIM, 3, "bob").did("again", Move.RELEASE, 3.5)
    tasks.did("again", Move.CLAIM, 4, "bob").did("again", Move.EXPIRE, 5)
    tasks.did("again", Move.CLAIM, 5.5, "carol").did("again", Move.GIVE_UP, 6.5)
    tasks.life("日本 <b>", "a-machine-with-a-long-name-4711-0815", 0, 1.5, 4, last=Move.FAIL)
    tasks.did("日本 <b>", Move.REQUEUE, 5).did("日本 <b>", Move.CLAIM, 6, "alice")
    tasks.did("too large", Move.PUT, 1).did("too large", Move.REFUSE, 2)
    tasks.life("done", "alice", 0.5, 2.5, 3).did("done", Move.PURGE, 7)
    return tasks.moves


def many_tasks() -> list[Moved]:
    """More tasks and moves than there are pixels."""
    tasks = Tasks()
    for n in range(2000):
        last = Move.FAIL if n % 20 == 0 else Move.SUCCEED
        tasks.life(f"{n}", f"worker-{n % 4}", n / 1000, n / 500 + 0.1, n / 500 + 0.2, last=last)
    return tasks.moves


def message(build: int, state: Build, **changed: Any) -> Message:
    """A message of a queue service, of job 10, enqueued at noon."""
    found = Message(
        id=f"{build}",
        build_id=build,
        job_id=10,
        job_name="main",
        state=state,
        priority=0,
        cluster="",
        blocked_by=(10,),
        waits_for=None,
        replaced_by=None,
        attempts=0,
        max_attempts=3,
        owner=None,
        enqueued_at=NOON,
        due=NOON,
        started_at=None,
        lease_ends=None,
        ended_at=None,
        reason="",
        result=None,
        body={},
    )
    return replace(found, **changed)


def row(name: str, job: str, *changes: tuple[float, Build, str], into: str = "") -> BuildRow:
    """A build with its changes."""
    return BuildRow(name, job, tuple(Change(*change) for change in changes), into or None)


def every_state() -> tuple[BuildRow, ...]:
    """Three builds of one job become one; what waits for it, is frozen, fails, is stopped."""
    queued, running = (0.1, Build.QUEUED, ""), (0.3, Build.RUNNING, "alice")
    own = (0.2, Build.BLOCKED, "by job 10")
    return (
        row("101", "job 10 main", queued, running, (2.5, Build.DONE, "")),
        row("102", "job 10 main", own, (0.9, Build.COLLAPSED, "into 103"), into="103"),
        row("103", "job 10 main", (0.9, Build.BLOCKED, "by job 10"), (1.2, Build.COLLAPSED,
            "into 104"), into="104"),
        row("104", "job 10 main", (1.2, Build.BLOCKED, "by job 10"), (2.5, Build.QUEUED, ""),
            (2.6, Build.RUNNING, "bob, whose name is long"), (2.9, Build.DONE, "")),
        row("201", "job 20 日本 <b>", (0.5, Build.BLOCKED, "by job 10"), (2.9, Build.QUEUED, ""),
            (3.0, Build.RUNNING, "alice"), (3.4, Build.QUEUED, ""), (4.4, Build.RUNNING, "bob"),
            (4.9, Build.FAILED, "no paper & no ink")),
        row("301", "job 30", (0.6, Build.FROZEN, ""), (3.6, Build.QUEUED, ""),
            (4.0, Build.STOPPED, "")),
        row("2026-01-01T12:07:00+00:00", "job 30", (4.2, Build.QUEUED, ""),
            (4.6, Build.RUNNING, "carol")),
    )  # fmt: skip


A_KILL = (Happening(2.0, "instance two is killed"), Happening(5.2, "it is there again"))


def many_builds() -> tuple[BuildRow, ...]:
    """More builds than are drawn, in bars too narrow for a word."""
    return tuple(
        row(f"{n}", f"job {n % 3}", (n / 10, Build.QUEUED, ""), (n / 10 + 0.05, Build.RUNNING,
            "w1"), (n / 10 + 0.06, Build.DONE, ""))
        for n in range(60)
    )  # fmt: skip


COMMITS = {"1": 12, "2": 3, "3 to 4": 0, "5 to 8": 7, "日本 <b>": 40.5}
