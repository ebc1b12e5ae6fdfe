"""The smallest evidence of a trial on a task table: one task's life, in a few lines with times.

Who claimed it and until when, who said that it was done, what its row said, and what was
done to those who had it: in the order of the journal.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.journal import Event
from labs.judge.evidence import Line, blows, evidence_of, quoted
from labs.judge.tasks import EXTEND, SUCCESS, WAITING, Change, Task, Tasks
from labs.judge.verdicts import Evidence


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


def stage_in_words(tasks: Tasks, task: Task) -> str:
    """What a task's row says in the end."""
    if task.stage is None:
        return "its row is gone"
    owner = task.changes[-1].owner if task.changes else None
    whose = f", with {tasks.name_of(owner)} as its owner" if owner else ""
    return f"its stage is {task.stage}{whose}"
