"""Whether leases of tasks are taken, extended, respected and let go as promised: for `lease`.

A lease is judged by the times at which the statements ran that wrote it, by the clock of
the machine, which all copies share. Who was killed or frozen in the middle of its work
is not to blame for what it lost; who was not is.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.journal import Event
from labs.judge.evidence import quoted
from labs.judge.history import History
from labs.judge.rules.finding import KEPT, Finding, broken, unknown
from labs.judge.rules.task_life import stage_in_words, task_life
from labs.judge.tasks import CLAIM, EXTEND, RELEASE, SETTLE, SUCCESS, Change, Task, Tasks

NO_CLAIM = "no task was claimed"
CLOCK_S = 0.05
"""So much may two looks at the same clock differ: times are written in thousandths at best."""
LONGER, LONGER_S = 1.2, 0.1
"""A lease may be so many times as long as agreed, and so much longer."""
OTHER_CLOCK_S = 30.0
"""An end that is so far off was not told by this clock."""
STALL_S = 0.5
"""Where the judge itself stood still for so long, the programs may have done so, too."""
SOON_S = 2.0
"""So long after the end of a lease the task is in somebody's hands again."""


def names_its_owner(history: History) -> Finding:
    """Each claim names its owner: the copy's own $OWNER."""
    tasks = Tasks.of(history)
    if not any(task.claims for task in tasks.all):
        return unknown(NO_CLAIM)
    for task in tasks.all:
        for claim in task.claims:
            if claim.owner not in tasks.owners:
                whose = f"the owner {quoted(claim.owner)}" if claim.owner else "no owner"
                seen = f"{quoted(task.body)} was claimed with {whose}, which is no copy's OWNER."
                return broken(seen, task_life(tasks, task))
    return KEPT


def lease_has_its_length(history: History) -> Finding:
    """A lease ends $LEASE s after it was taken or extended."""
    tasks, lease_s = Tasks.of(history), agreed_s(history)
    given = [(t, c) for t in tasks.all for c in t.changes if c.move in (CLAIM, EXTEND)]
    if not given:
        return unknown(NO_CLAIM)
    for task, change in given:
        off_s = off_by_s(change, lease_s)
        if off_s is None:
            end = change.event.data.get("lease_end")
            what = "no lease_end" if end is None else f"{quoted(str(end))} as lease_end"
            seen = f"{quoted(task.body)} was claimed with {what}; a number of seconds since 1970 "
            return broken(f"{seen}is needed.", task_life(tasks, task))
        if off_s < -OTHER_CLOCK_S or off_s > (LONGER - 1) * lease_s + LONGER_S:
            seen = f"The lease of {quoted(task.body)} was to end {_far(lease_s + off_s)}, not "
            seen += f"{lease_s:g} s after it was taken: lease_end was "
            seen += f"{change.event.data.get('lease_end')}."
            return broken(seen, task_life(tasks, task))
    return KEPT


def agreed_s(history: History) -> float:
    """How long a lease lasts."""
    return float(history.run.get("lease_s") or 0.0)


def off_by_s(change: Change, lease_s: float) -> float | None:
    """By how much a lease ends later than it should; None: its end is no number."""
    return None if change.lease_s is None else change.lease_s - (change.at_s + lease_s)


def lease_respected(history: History) -> Finding:
    """No task is taken from a copy before its lease has run out."""
    tasks = Tasks.of(history)
    taken = [(task, change) for task in tasks.all for change in task.changes if change.takes_away]
    for task, change in taken:
        if is_too_soon(change) and not _is_given_back(tasks, task, change):
            left_s = (change.lease_was_s or 0.0) - change.at_s
            whom = tasks.name_of(change.owner_was)
            seen = f"{quoted(task.body)} was taken from {whom} "
            seen += f"{left_s:.1f} s before its lease ran out."
            return broken(seen, task_life(tasks, task))
    return KEPT if any(task.claims for task in tasks.all) else unknown(NO_CLAIM)


def is_too_soon(change: Change) -> bool:
    """Whether the lease of the one who had the task was still running."""
    return change.lease_was_s is not None and change.at_s < change.lease_was_s - CLOCK_S


def _is_given_back(tasks: Tasks, task: Task, change: Change) -> bool:
    """Whether its owner may have put it back itself: it lives, and never says that it did it."""
    if change.move != RELEASE:
        return False
    process = tasks.owners.get(change.owner_was or "")
    if process is None or (process.exited and process.exited.n < change.event.n):
        return False
    return not any(s.process is process and s.event.n > change.event.n for s in task.done)


def lease_kept(history: History) -> Finding:
    """No copy loses a lease while it works."""
    tasks = Tasks.of(history)
    if not any(task.claims for task in tasks.all):
        return unknown(NO_CLAIM)
    lost = [(task, change) for task in tasks.all for change in lost_at_work(tasks, task)]
    if not lost:
        return KEPT
    task, change = lost[0]
    owner = tasks.name_of(change.owner_was)
    by = f"{tasks.name_of(change.owner)} took it" if change.move == CLAIM else "it was put back"
    seen = f"{owner} was at work on {quoted(task.body)}, its lease ran out, and {by}."
    return broken(seen, task_life(tasks, task))


def lost_at_work(tasks: Tasks, task: Task) -> list[Change]:
    """When the task was taken from a copy that nothing had been done to, for its lease was over."""
    found = []
    for change in task.changes:
        if not change.takes_away or is_too_soon(change) or change.owner_was == change.owner:
            continue
        since = claim_before(task, change)
        if since and not tasks.was_struck(change.owner_was, since, change.event):
            found.append(change)
    return found


def lost_to_the_machine(
    task: Task, lost: Change, stalls: Sequence[tuple[float, float]], lease_s: float
) -> bool:
    """Whether a program that extends its leases well could have lost this one, too.

    `stalls`: from when to when the machine stood still.
    """
    end_s, claim = lost.lease_was_s or 0.0, claim_before(task, lost)
    during_s = [min(end, end_s) - max(begin, end_s - lease_s) for begin, end in stalls]
    has_tried = claim is not None and bool(task.extensions(claim))
    return max(during_s, default=0.0) > (STALL_S if has_tried else lease_s / 2)


def claim_before(task: Task, change: Change) -> Change | None:
    """The claim by which the one whose task this change took had got it."""
    return next((c for c in reversed(task.claims) if c.event.n < change.event.n), None)


def taken_over(history: History) -> Finding | None:
    """What a struck copy held is claimed by another, soon after the lease has run out."""
    tasks, blows_ = Tasks.of(history), history.struck("kill", "freeze")
    for blow in blows_:
        task = next((t for t in tasks.all if t.body == blow.data.get("body")), None)
        if task is None:
            continue
        end_s = _end_of_lease(task, blow)
        after = next((c for c in task.claims if c.event.n > blow.n), None)
        verb = "dead" if blow.name == "kill" else "frozen"
        if after is None:
            seen = f"Nobody took {quoted(task.body)} from the {verb} {blow.copy}: in the end "
            return broken(f"{seen}{stage_in_words(tasks, task)}.", task_life(tasks, task))
        others = [other for other in tasks.all if other is not task]
        if end_s is not None and after.at_s > end_s + SOON_S and _all_idle(others, end_s):
            seen = f"{quoted(task.body)}, which the {verb} {blow.copy} had, was taken only "
            seen += f"{after.at_s - end_s:.1f} s after its lease had run out."
            return broken(seen, task_life(tasks, task))
    return KEPT if blows_ else None


def _end_of_lease(task: Task, blow: Event) -> float | None:
    ends = [c.lease_s for c in task.changes if c.event.n < blow.n and c.lease_s is not None]
    return ends[-1] if ends else None


def _all_idle(tasks: Sequence[Task], since_s: float) -> bool:
    """Whether none of these tasks was in work some time later: who works may come late."""
    spans = [(claim.at_s, _over_s(task, claim)) for task in tasks for claim in task.claims]
    from_s, to_s = since_s + SOON_S / 2, since_s + SOON_S
    return not any(begin < to_s and end > from_s for begin, end in spans)


def _over_s(task: Task, claim: Change) -> float:
    later = (c.at_s for c in task.changes if c.event.n > claim.event.n and c.move != EXTEND)
    return next(later, claim.at_s)


def only_its_owner_settles(history: History) -> Finding:
    """No copy settles a task that another holds by then."""
    tasks = Tasks.of(history)
    if not any(task.settled for task in tasks.all):
        return unknown("no task was marked as done")
    for task in tasks.all:
        for change in settled_by_a_former_owner(tasks, task):
            owner, former = tasks.name_of(change.owner_was), _former(tasks, task, change)
            seen = f"{quoted(task.body)} was {owner}'s by then and not done by {owner}, when "
            seen += f"{former}, which had lost it, marked it as done."
            return broken(seen, task_life(tasks, task))
    return KEPT


def settled_by_a_former_owner(tasks: Tasks, task: Task) -> list[Change]:
    """Settlements of what was in the hands of a copy that had not done it, when another had."""
    return [
        change
        for change in task.changes
        if change.move == SETTLE
        and change.stage_was != SUCCESS
        and (claim := claim_before(task, change)) is not None
        and tasks.said_done(task, claim, change.event) is None
        and _former(tasks, task, change)
    ]


def _former(tasks: Tasks, task: Task, change: Change) -> str | None:
    """Who had claimed it before the present owner, and has said by then that it was done."""
    present = claim_before(task, change)
    for claim in task.claims:
        if present is None or claim is present or claim.owner == present.owner:
            continue
        if tasks.said_done(task, claim, change.event):
            return tasks.name_of(claim.owner)
    return None


def _far(seconds: float) -> str:
    if abs(seconds) < 1000:
        return f"{seconds:.1f} s"
    return "long before" if seconds < 0 else "years" if seconds > 3e7 else f"{seconds:.0f} s"
