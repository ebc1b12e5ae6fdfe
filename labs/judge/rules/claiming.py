"""Whether tasks of a table are claimed, worked on and settled as promised: `claim-once`, `lease`.

What became of a task its own row tells (`labs.judge.tasks`), and what was done the lines
of the copies. Order is that of the journal, where a change stands behind all that had
been printed before it; how long something lasted is told by the times at which the
statements ran. Both err to the program's favour.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.journal import Event
from labs.judge.evidence import Line, blows, evidence_of, last_line, program_life, quoted
from labs.judge.history import History
from labs.judge.rules.finding import KEPT, Finding, broken, some, unknown
from labs.judge.tasks import CLAIM, EXTEND, RELEASE, SETTLE, SUCCESS, WAITING, Change, Task, Tasks
from labs.judge.verdicts import Evidence

NO_TASKS = "no task was put into the table"
NO_CLAIM = "no task was claimed"
CLOCK_S = 0.05
"""So much may two looks at the same clock differ: times are written in thousandths at best."""
LONGER, LONGER_S = 1.2, 0.1
"""A lease may be so many times as long as agreed, and so much longer."""
OTHER_CLOCK_S = 30.0
"""An end that is so far off was not told by this clock."""
SOON_S = 2.0
"""So long after the end of a lease the task is in somebody's hands again."""

Words = tuple[Change, str]


# --- What both exercises promise --------------------------------------------------------------


def works_on_the_table(history: History) -> Finding | None:
    """Each copy took part, and none kept the others from writing for ever."""
    for note in history.noted("locked-out"):
        seen = f"For {note.data.get('for_s')} s nobody else could write to the database: some "
        seen += "transaction stays open."
        return broken(seen, program_life(history, more=[(note, "the judge could not write")]))
    for note in history.noted("never-connected"):
        who = str(note.copy or note.data.get("copy"))
        seen = f"{who} never took a task from the table at DATABASE, nor did one."
        return broken(seen, program_life(history, who, ending=f"{who} had taken none"))
    return KEPT


def runs_on(history: History) -> Finding | None:
    """No copy ends by itself, whatever was done to it."""
    for process in history.processes:
        if process.ended_by_itself and process.exited:
            status = process.exited.data.get("status")
            notes = [n for n in history.noted("stderr") if n.copy == process.copy]
            said = last_line(notes[-1]) if notes else ""
            seen = f"{process.copy} ended by itself, with status {status}"
            seen += f'. It said last: "{said}".' if said else ", without a word of error."
            return broken(seen, program_life(history, process.copy))
    return KEPT


def every_task_done_once(history: History) -> Finding:
    """Every task is done, by one copy; again only where the one who had it was struck."""
    tasks = Tasks.of(history)
    if not tasks.all:
        return unknown(NO_TASKS)
    if not any(task.done for task in tasks.all):
        return _silent(history, tasks)
    for task in tasks.all:
        if len(task.done) > 1 and not _excused(tasks, task):
            who = [str(said.copy) for said in task.done]
            by = f"by {' and by '.join(dict.fromkeys(who))}"
            seen = f"{quoted(task.body)} was done {len(task.done)} times, {by}."
            return broken(seen, task_life(tasks, task))
    undone = [task for task in tasks.all if not task.done]
    if undone:
        shown = next((task for task in undone if task.claims), undone[0])
        seen = some([shown.body, *(t.body for t in undone if t is not shown)], "task")
        verb = "was" if len(undone) == 1 else "were"
        seen = f"{seen[0].upper()}{seen[1:]} {verb} never done; in the end {_stage(tasks, shown)}."
        return broken(seen, task_life(tasks, shown))
    return KEPT


def settled_after_done(history: History) -> Finding:
    """No task's stage becomes success before its line `done BODY`."""
    tasks = Tasks.of(history)
    settled = [task for task in tasks.all if task.settled]
    if not settled:
        return unknown("no task was marked as done")
    early = [task for task in settled if settled_early(task)]
    if not early:
        return KEPT
    shown = next((task for task in early if not task.done), early[0])
    tail = "" if shown.done else " It never was."
    seen = f"The stage of {quoted(shown.body)} became success before it was done.{tail}"
    return broken(seen, task_life(tasks, shown))


def settled_early(task: Task) -> bool:
    """Whether the table called it done before anybody had said so."""
    settled = task.settled
    return settled is not None and not any(s.event.n < settled.event.n for s in task.done)


def all_settled(history: History) -> Finding:
    """In the end the stage of every task is success."""
    tasks = Tasks.of(history)
    if not tasks.all:
        return unknown(NO_TASKS)
    open_ = [task for task in tasks.all if task.stage != SUCCESS]
    if not open_:
        return KEPT
    shown = next((task for task in open_ if task.done), open_[0])
    seen = some([shown.body, *(task.body for task in open_ if task is not shown)], "task")
    verb = "was" if len(open_) == 1 else "were"
    seen = f"{seen[0].upper()}{seen[1:]} {verb} not marked as done in the end: "
    return broken(f"{seen}{_stage(tasks, shown)}.", task_life(tasks, shown))


def takes_its_time(history: History) -> Finding:
    """No task is done sooner than its work lasts, counted from its claim by the same copy."""
    tasks = Tasks.of(history)
    if not any(task.done for task in tasks.all):
        return unknown("nothing was done")
    for task in tasks.all:
        for said in task.done:
            mine = [c for c in task.claims if tasks.owners.get(c.owner or "") is said.process]
            first_s = mine[0].at_s if mine else task.put.at_s
            took_s, work_s = said.event.at_s - first_s, history.work_s(task.body)
            if took_s < 0.9 * work_s - 0.02:
                seen = f"The work on {quoted(task.body)} lasts {work_s:.2f} s, but {said.copy} was "
                seen += f"done {took_s:.2f} s after its claim."
                return broken(seen, task_life(tasks, task))
    return KEPT


# --- claim-once -------------------------------------------------------------------------------


def claimed_once(history: History) -> Finding:
    """No task is claimed that another has claimed, or done."""
    tasks = Tasks.of(history)
    if not any(task.claims for task in tasks.all):
        return unknown(NO_CLAIM)
    twice = [task for task in tasks.all if task.claimed_again]
    if not twice:
        return KEPT
    shown = next((task for task in twice if len(task.done) > 1), twice[0])
    who = list(dict.fromkeys(tasks.name_of(claim.owner) for claim in shown.claims))
    by = f"by {' and by '.join(who)}" if len(who) > 1 else f"{len(shown.claims)} times"
    seen = f"{quoted(shown.body)} was claimed {by}"
    others = len(twice) - 1
    seen += f", and so were {others} others" if others > 1 else ""
    return broken(f"{seen}.", task_life(tasks, shown))


def side_by_side(history: History) -> Finding:
    """While one copy works, others claim: at least once in the run, however short it was.

    Nobody can write while one holds the write lock. So who holds it through the work claims and
    settles each task with no other change in between, and two tasks are never in work at once.
    """
    tasks = Tasks.of(history)
    whole = [task for task in tasks.all if _lasted(history, task)]
    if len(whole) < 2 or len(history.copies) < 2:
        return unknown("too few tasks were in work")
    if any(_overlap(one, other) for one in whole for other in whole if one is not other):
        return KEPT
    first, second = sorted(whole, key=lambda task: task.claims[0].event.n)[:2]
    seen = "Two tasks were never in work at the same time: nobody could claim one until the copy "
    seen += f"that had claimed another had done it and marked it as done. {quoted(second.body)} "
    seen += f"had to wait for {quoted(first.body)}."
    return broken(seen, task_life(tasks, first, second))


def _lasted(history: History, task: Task) -> bool:
    """Whether it was in somebody's hands for about as long as its work lasts."""
    if not task.claims or not task.settled:
        return False
    return task.settled.at_s - task.claims[0].at_s > 0.5 * history.work_s(task.body)


def _overlap(one: Task, other: Task) -> bool:
    assert one.settled
    return any(
        one.claims[0].event.n < claim.event.n < one.settled.event.n for claim in other.claims
    )


# --- lease ------------------------------------------------------------------------------------


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
            return broken(f"{seen}{_stage(tasks, task)}.", task_life(tasks, task))
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


# --- A task's life in words -------------------------------------------------------------------


def task_life(tasks: Tasks, *shown: Task) -> Evidence:
    """What became of one task, or of several that belong together."""
    lines: list[Line] = []
    for task in shown:
        lines += _life(tasks, task, named=len(shown) > 1)
    begin = min((event.n for event, _ in lines), default=0)
    end = max((event.n for event, _ in lines), default=0)
    copies: set[str | None] = {tasks.copy_of(c.owner) for t in shown for c in t.changes}
    copies |= {said.copy for task in shown for said in task.done}
    struck = blows(tasks.history, copies)
    lines += [line for line in struck if begin < line[0].n and _matters(line[0], end)]
    undone = [task for task in shown if not task.done]
    ending = "the run ended: it was never done" if undone else ""
    return evidence_of(tasks.history, shown[0].body, lines, ending)


def _matters(event: Event, end: int) -> bool:
    return event.kind == "exited" or event.n < end


def _life(tasks: Tasks, task: Task, *, named: bool) -> Sequence[Line]:
    what = quoted(task.body) if named else "it"
    put = f"the judge put {what} into the table, as task {task.number}"
    if task.left_by:
        put += ", left in work by a dead owner whose lease has run out"
    lines: list[Line] = [(task.put, put)]
    lines += [(change.event, _told(tasks, change, what)) for change in _folded(task.changes)]
    for said in task.done:
        lines.append((said.event, f"{said.copy} printed {quoted(f'{said.word} {said.text}')}"))
    return lines


def _folded(changes: Sequence[Change]) -> list[Change]:
    """Of many extensions in a row the first and the last."""
    kept = []
    for n, change in enumerate(changes):
        around = [c.move for c in changes[max(n - 1, 0) : n + 2]]
        if around != [EXTEND] * 3:
            kept.append(change)
    return kept


def _told(tasks: Tasks, change: Change, what: str) -> str:
    who = tasks.name_of(change.owner)
    until = f", until {change.lease_s:.3f} s" if change.lease_s is not None else ""
    match change.move:
        case "claim" if change.stage_was == WAITING:
            return f"{who} claimed {what}{until}"
        case "claim" if change.stage_was == SUCCESS:
            return f"{who} claimed {what}, which was marked as done{until}"
        case "claim":
            return f"{who} claimed {what}, which {tasks.name_of(change.owner_was)} had{until}"
        case "extend":
            return f"{who} extended its lease{until}"
        case "settle" if change.stage_was == WAITING:
            return f"{what} was marked as done, though nobody had claimed it"
        case "settle" if change.stage_was == SUCCESS:
            return f"{what} was marked as done once more"
        case "settle":
            return f"{what} was marked as done; it was {tasks.name_of(change.owner_was)}'s"
        case "release":
            return f"{what} was put back: waiting; it had been {tasks.name_of(change.owner_was)}'s"
        case "delete":
            return f"its row was deleted: {what} is gone"
        case _:
            return ""


def _stage(tasks: Tasks, task: Task) -> str:
    if task.stage is None:
        return "its row is gone"
    owner = task.changes[-1].owner if task.changes else None
    whose = f", with {tasks.name_of(owner)} as its owner" if owner else ""
    return f"its stage is {task.stage}{whose}"


def _far(seconds: float) -> str:
    if abs(seconds) < 1000:
        return f"{seconds:.1f} s"
    return "long before" if seconds < 0 else "years" if seconds > 3e7 else f"{seconds:.0f} s"


def _excused(tasks: Tasks, task: Task) -> bool:
    """Whether each one who did it, but the last, was struck after it had claimed it."""
    claims = [claim for claim in task.claims if tasks.said_done(task, claim)]
    last = tasks.history.events[-1]
    struck = [c for c in claims if _was_struck_while_it_had_it(tasks, c, last)]
    return len(task.done) - len(struck) <= 1


def _was_struck_while_it_had_it(tasks: Tasks, claim: Change, last: Event) -> bool:
    copy = tasks.copy_of(claim.owner)
    return any(
        blow.copy == copy and claim.event.n < blow.n <= last.n
        for blow in tasks.history.struck("kill", "freeze")
        if blow.data.get("body") == claim.event.data.get("body")
    )


def _silent(history: History, tasks: Tasks) -> Finding:
    """The commonest of all: nothing that could be read as done was ever printed."""
    printed = [str(event.data.get("text")) for event in history.events if event.kind == "line"]
    seen = "No line `done BODY` ever came. "
    if printed:
        seen += f"What was printed was such as {quoted(printed[0])}."
    else:
        seen += "Nothing at all was printed; a program has to flush what it prints."
    return broken(seen, task_life(tasks, tasks.all[0]))
