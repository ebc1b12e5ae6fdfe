"""Runs of jobs and of requests, written down as values, for the pictures of them."""

from __future__ import annotations

from labs.pictures.attempts import Attempt, Ending, JobRow
from labs.pictures.partitions import Cell, Lane, Moment, State


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
