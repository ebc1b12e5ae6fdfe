"""From the journal of a trial on a task table to the life of one task, ready to be drawn.

A history goes in, a `Life` (`labs.pictures.claims`) comes out. What is drawn is the task
that a verdict is about, from a moment before its first claim to a moment after all
that became of it, with the leases that reach beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from labs.judge.history import History
from labs.judge.tasks import PROCESSING, WAITING, Change, Task, Tasks
from labs.pictures.claims import Claim, Lane, Life, Said

MOST_BEFORE_S, MOST_AFTER_S, MARGIN_S = 0.6, 1.5, 0.2
"""So much of the time before and after what became of a task is drawn."""


def life(history: History, body: str | None = None) -> Life:
    """The life of a task; None: of the one that changed most often."""
    tasks = Tasks.of(history)
    named = [task for task in tasks.all if task.body == body]
    task = next(iter(named), max(tasks.all, key=lambda task: len(task.changes), default=None))
    if task is None:
        end_s = history.events[-1].at_s if history.events else 0.0
        return Life("", 0.0, end_s, (), (Said(0.0, "there was none"),))
    events = [c.at_s for c in task.changes] + [said.event.at_s for said in task.done]
    end_s = max(events, default=task.put.at_s)
    ends = [c.lease_s for c in task.changes if c.lease_s is not None]
    end_s = max([end_s, *(min(end, end_s + MOST_AFTER_S) for end in ends)])
    if task.stage == PROCESSING:
        end_s = max(end_s, min(history.events[-1].at_s, end_s + MOST_AFTER_S))
    end_s += MARGIN_S
    first_s = task.changes[0].at_s if task.changes else task.put.at_s
    from_s = max(task.put.at_s, first_s - MOST_BEFORE_S)
    copies = {tasks.copy_of(c.owner) for c in task.claims} | {said.copy for said in task.done}
    lanes = tuple(_lane(tasks, task, copy, end_s) for copy in sorted(filter(None, copies)))
    row = [Said(from_s, _row_says(tasks, None, task.left_by))]
    row += [Said(change.at_s, _row_says(tasks, change, change.owner)) for change in task.changes]
    told = [said for n, said in enumerate(row) if n == 0 or said.words != row[n - 1].words]
    held = tuple((begin, end) for begin, end in _held(history) if end > from_s and begin < end_s)
    return Life(task.body, from_s, end_s, lanes, tuple(told), held)


def _lane(tasks: Tasks, task: Task, copy: str, end_s: float) -> Lane:
    struck = [e for e in tasks.history.struck("kill", "freeze", "thaw") if e.copy == copy]
    killed = [e.at_s for e in struck if e.name == "kill" and e.data.get("body") == task.body]
    claims = [c for c in task.claims if tasks.copy_of(c.owner) == copy]
    told = tuple(_claim(tasks, task, claim, killed, end_s) for claim in claims)
    if not claims:  # it did it all the same
        told = tuple(
            Claim(
                max(s.event.at_s - tasks.history.work_s(task.body), 0.0), s.event.at_s, s.event.at_s
            )
            for s in task.done
            if s.copy == copy
        )
    frozen = []
    for freeze in (e for e in struck if e.name == "freeze" and e.data.get("body") == task.body):
        thaw = next((e for e in struck if e.name == "thaw" and e.n > freeze.n), None)
        frozen.append((freeze.at_s, thaw.at_s if thaw else end_s))
    return Lane(copy, told, killed[0] if killed else None, tuple(frozen))


def _claim(tasks: Tasks, task: Task, claim: Change, killed: Sequence[float], end_s: float) -> Claim:
    process = tasks.owners.get(claim.owner or "")
    said = [s for s in task.done if s.process is process and s.event.at_s > claim.at_s]
    done_s = said[0].event.at_s if said else None
    over_s = min(end_s, tasks.history.events[-1].at_s)
    ends = [at_s for at_s in (*killed, done_s) if at_s is not None and at_s > claim.at_s]
    changes = (claim, *task.extensions(claim))
    leases = tuple((c.at_s, c.lease_s) for c in changes if c.lease_s is not None)
    return Claim(claim.at_s, min(ends, default=over_s), done_s, leases)


def _row_says(tasks: Tasks, change: Change | None, owner: str | None) -> str:
    stage = change.stage if change else (PROCESSING if owner else WAITING)
    if stage is None:
        return "gone"
    return f"{tasks.name_of(owner)}'s" if stage == PROCESSING else stage


def _held(history: History) -> list[tuple[float, float]]:
    faults = history.struck("hold", "release")
    return [(one.at_s, two.at_s) for one, two in pairwise(faults) if one.name == "hold"]
