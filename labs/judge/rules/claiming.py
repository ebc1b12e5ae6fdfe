"""Whether tasks of a table are claimed, done and marked as promised: for `claim-once` and `lease`.

What became of a task its own row tells (`labs.judge.tasks`), and what was done the lines
of the copies. Order is that of the journal, where a change stands behind all that had
been printed before it; how long something lasted is told by the times at which the
statements ran. Both err to the program's favour. Leases are judged in `leasing`.
"""

from __future__ import annotations

from labs.judge.evidence import last_line, program_life, quoted
from labs.judge.history import History
from labs.judge.rules.finding import KEPT, Finding, broken, some, unknown
from labs.judge.rules.task_life import stage_in_words, task_life
from labs.judge.tasks import SUCCESS, Change, Task, Tasks

NO_TASKS = "no task was put into the table"
NO_CLAIM = "no task was claimed"


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
        seen = f"{seen[0].upper()}{seen[1:]} {verb} never done; in the end "
        return broken(f"{seen}{stage_in_words(tasks, shown)}.", task_life(tasks, shown))
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
    return broken(f"{seen}{stage_in_words(tasks, shown)}.", task_life(tasks, shown))


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


# --- What several of them ask ------------------------------------------------------------------


def _excused(tasks: Tasks, task: Task) -> bool:
    """Whether each one who did it, but the last, was struck after it had claimed it."""
    claims = [claim for claim in task.claims if tasks.said_done(task, claim)]
    struck = [c for c in claims if _was_struck_while_it_had_it(tasks, c)]
    return len(task.done) - len(struck) <= 1


def _was_struck_while_it_had_it(tasks: Tasks, claim: Change) -> bool:
    copy = tasks.copy_of(claim.owner)
    return any(
        blow.copy == copy and claim.event.n < blow.n
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
