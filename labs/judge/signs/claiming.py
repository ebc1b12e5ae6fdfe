"""Signs of beliefs about claims, locks and leases in a database: 26, and 55 to 67.

Told from what the rows of the task table went through, from the lines that copies
printed, and, where a copy died of a locked database, from its last words.
"""

from __future__ import annotations

from labs.judge.history import History
from labs.judge.lives import Process
from labs.judge.rules import claiming, leasing
from labs.judge.tasks import CLAIM, EXTEND, PROCESSING, Change, Task, Tasks

LOCKED = ("database is locked", "SQLITE_BUSY", "database table is locked")
AT_ONCE = 3
"""Whoever has so many tasks in hand has claimed more than it works on."""
JUST_S = 0.15
"""Whoever takes a task so soon after another had looked before that one's claim."""
START_S = 3.0
"""So soon after its start a copy tidies up what it takes for leftovers."""


# --- How a task is claimed --------------------------------------------------------------------


def claimed_what_was_claimed(history: History) -> bool:
    """A task was claimed that was not free: the claim did not look, or looked earlier."""
    return any(task.claimed_again for task in Tasks.of(history).all)


def worked_without_a_claim(history: History) -> bool:
    """Two did a task that only one had claimed: the other's UPDATE had changed nothing."""
    return any(
        len({said.process for said in task.done}) > len(task.claims) > 0
        for task in Tasks.of(history).all
    )


def _died_of_the_lock(history: History) -> list[Process]:
    found = []
    for process in history.processes:
        notes = [note for note in history.noted("stderr") if note.copy == process.copy]
        told = any(word in str(n.data.get("tail")) for n in notes for word in LOCKED)
        if process.ended_by_itself and told:
            found.append(process)
    return found


def died_of_a_locked_database(history: History) -> bool:
    """A copy ended because the database was locked."""
    return bool(_died_of_the_lock(history))


def has_no_patience(history: History) -> bool:
    """It ended when it was to mark as done what it had done: a plain write could not wait."""
    tasks = Tasks.of(history)
    return any(
        said.process is process and task.stage == PROCESSING
        for process in _died_of_the_lock(history)
        for task in tasks.all
        for said in task.done
        if tasks.owners.get(task.changes[-1].owner or "") in (None, process)
    )


def never_side_by_side(history: History) -> bool:
    """No two tasks were in work at once, though each was claimed."""
    return any(task.claims for task in Tasks.of(history).all)


def marked_as_done_first(history: History) -> bool:
    """The table called a task done sooner than its work lasts."""
    return any(
        claiming.settled_early(task) and task.settled and _soon(history, task)
        for task in Tasks.of(history).all
    )


def _soon(history: History, task: Task) -> bool:
    assert task.settled
    since_s = task.claims[0].at_s if task.claims else task.settled.at_s
    return task.settled.at_s - since_s < 0.5 * history.work_s(task.body)


# --- How long it is one's own -----------------------------------------------------------------


def one_name_for_all(history: History) -> bool:
    """All claims bear the same name, and it is no copy's own."""
    tasks = Tasks.of(history)
    names = {claim.owner for task in tasks.all for claim in task.claims}
    return len(names) == 1 and None not in names and not names & set(tasks.owners)


def another_clock(history: History) -> bool:
    """A lease ends hours away from where it should, or its end is no number."""
    tasks, lease_s = Tasks.of(history), leasing.agreed_s(history)
    changes = [c for t in tasks.all for c in t.changes if c.move in (CLAIM, EXTEND)]
    offs = [leasing.off_by_s(change, lease_s) for change in changes]
    ends = [change.event.data.get("lease_end") for change in changes]
    return any(
        abs(off) > leasing.OTHER_CLOCK_S if off is not None else end is not None
        for off, end in zip(offs, ends, strict=True)
    )


def _too_soon(tasks: Tasks) -> list[tuple[Task, Change]]:
    return [
        (task, change)
        for task in tasks.all
        for change in task.changes
        if change.takes_away and leasing.is_too_soon(change)
    ]


def tidied_up_at_its_start(history: History) -> bool:
    """What was in work was taken away when a copy had just been started again."""
    tasks = Tasks.of(history)
    return any(
        new.started.n < change.event.n
        and change.at_s < new.started.at_s + START_S
        and (change.move != CLAIM or tasks.owners.get(change.owner or "") is new)
        for _, change in _too_soon(tasks)
        for new in _started_again(history)
    )


def _started_again(history: History) -> list[Process]:
    return [p for n, p in enumerate(history.processes) if p.copy in _copies(history, before=n)]


def _copies(history: History, before: int) -> set[str]:
    return {process.copy for process in history.processes[:before]}


def settled_what_it_had_lost(history: History) -> bool:
    """A copy that had lost a task marked it as done, or took it back, for it was its own once."""
    tasks = Tasks.of(history)
    took_back = any(
        change.move == CLAIM and any(c.owner == change.owner for c in _before(task, change))
        for task, change in _too_soon(tasks)
    )
    return took_back or any(leasing.settled_by_a_former_owner(tasks, t) for t in tasks.all)


def _before(task: Task, change: Change) -> list[Change]:
    return [claim for claim in task.claims if claim.event.n < change.event.n]


def took_what_another_had_just_taken(history: History) -> bool:
    """A lease had run out long ago, two copies saw it, and both took the task."""
    return any(
        change.move == CLAIM and task.left_by is not None
        for task, change in _too_soon(Tasks.of(history))
    )


def took_what_was_free(history: History) -> bool:
    """A task was free, two copies saw it, and both took it: so may who takes all at its start."""
    return any(
        change.move == CLAIM
        and (before := _before(task, change))
        and change.at_s - before[-1].at_s < JUST_S
        for task, change in _too_soon(Tasks.of(history))
    )


def claimed_all_at_once(history: History) -> bool:
    """One copy had several tasks in hand at the same time."""
    tasks = Tasks.of(history)
    moves = [(change, task) for task in tasks.all for change in task.changes]
    held: dict[int, str | None] = {}
    for change, task in sorted(moves, key=lambda one: one[0].event.n):
        held[task.number] = change.owner if change.stage == PROCESSING else None
        mine = [owner for owner in held.values() if owner and owner == change.owner]
        if len(mine) >= AT_ONCE:
            return True
    return False


def extended_too_seldom(history: History) -> bool:
    """A lease was lost at work by a program that does extend leases: too late, or too seldom."""
    changes = [change for task in Tasks.of(history).all for change in task.changes]
    return lost_a_lease(history) and any(change.move == EXTEND for change in changes)


def lost_a_lease(history: History) -> bool:
    """A lease was lost at work; where another was extended, it is another belief."""
    tasks = Tasks.of(history)
    return any(leasing.lost_at_work(tasks, task) for task in tasks.all)


def left_to_the_dead(history: History) -> bool:
    """What a struck copy had nobody ever took, though others lived and worked."""
    return any(
        task.body == blow.data.get("body") and all(c.event.n < blow.n for c in task.claims)
        for task in Tasks.of(history).all
        for blow in history.struck("kill", "freeze")
    )
