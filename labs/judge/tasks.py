"""What the changes of a task table tell: each task's life, from claim to settlement. Pure.

A `changed` event is one change of one row, as a trigger wrote it down; its name is the
move that it was (`move_of`). Who made it no trigger knows: a claim names its owner, and
each copy was given a name of its own (the note `owner`). `event.n` orders, since the
judge reads a program's output before it writes down what had changed by then; `at_s`
is when the statement ran, by the machine's clock, and both it and the ends of leases
are in seconds of the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from labs.journal import Event
from labs.judge.history import History
from labs.judge.lives import Process, Said

CLAIM, EXTEND, SETTLE, RELEASE = "claim", "extend", "settle", "release"
WAITING, PROCESSING, SUCCESS = "waiting", "processing", "success"


def move_of(
    stage_was: str | None, stage: str | None, owners: tuple[object, object], extended: bool
) -> str:
    """What a change of a row was: a claim, an extension, a settlement, a release, or another.

    Args:
        stage_was: the stage before.
        stage: the stage after; None: the row is gone.
        owners: the owner before and after.
        extended: whether the lease's end is another.
    """
    if stage is None:
        return "delete"
    if stage == SUCCESS:  # a lease that is extended when all is done changes nothing
        return "" if stage_was == SUCCESS and extended else SETTLE
    if stage == WAITING:
        return RELEASE if stage_was in (PROCESSING, SUCCESS) else ""
    if stage_was != PROCESSING or owners[0] != owners[1]:
        return CLAIM
    if extended:
        return EXTEND
    return CLAIM if owners[1] is None else ""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one row."""

    event: Event
    stage_was: str | None
    stage: str | None
    owner_was: str | None
    owner: str | None
    lease_was_s: float | None
    """When the lease ended that held before; None: there was none, or it is no number."""
    lease_s: float | None

    @property
    def move(self) -> str:
        """What it was."""
        return self.event.name

    @property
    def at_s(self) -> float:
        """When its statement ran."""
        return float(self.event.data["at_s"])

    @property
    def takes_away(self) -> bool:
        """Whether a task that was in work is in work no more for the one who had claimed it."""
        return self.stage_was == PROCESSING and self.move in (CLAIM, RELEASE)


@dataclass(slots=True, eq=False)
class Task:
    """One task and what became of it."""

    number: int
    body: str
    put: Event
    changes: list[Change] = field(default_factory=list)
    done: list[Said] = field(default_factory=list)

    @property
    def stage(self) -> str | None:
        """Where it is now; None: its row is gone."""
        return self.changes[-1].stage if self.changes else self.put.data.get("stage", WAITING)

    @property
    def claims(self) -> list[Change]:
        """When somebody claimed it, whether it was free or not."""
        return [change for change in self.changes if change.move == CLAIM]

    @property
    def settled(self) -> Change | None:
        """When its stage became `success` for the first time."""
        return next((change for change in self.changes if change.move == SETTLE), None)

    @property
    def left_by(self) -> str | None:
        """The owner that it had from the first, who is long dead; None: it was waiting."""
        return self.put.data.get("owner")

    @property
    def claimed_again(self) -> list[Change]:
        """Claims of what was not free, for somebody had claimed or even done it."""
        return [change for change in self.claims if change.stage_was != WAITING]

    def extensions(self, claim: Change) -> list[Change]:
        """How often the lease of this claim was extended."""
        later = [change for change in self.changes if change.event.n > claim.event.n]
        end = next((c.event.n for c in later if c.move != EXTEND), None)
        return [c for c in later if c.move == EXTEND and (end is None or c.event.n < end)]


@dataclass(frozen=True)
class Tasks:
    """All tasks of a run, and who is who."""

    history: History
    all: Sequence[Task]
    owners: dict[str, Process]
    """By the name that it was given: the process of a copy."""

    @classmethod
    def of(cls, history: History) -> Tasks:
        """The tasks that a history tells of."""
        tasks: dict[int, Task] = {}
        for message in history.messages.values():
            if message.published and "task" in message.published.data:
                number = int(message.published.data["task"])
                done = [said for said in message.done if said.word == "done"]
                tasks[number] = Task(number, message.body, message.published, done=done)
        for event in history.events:
            if event.kind == "changed" and event.data["task"] in tasks:
                tasks[event.data["task"]].changes.append(_change(event))
        return cls(history, list(tasks.values()), _owners(history))

    def copy_of(self, owner: str | None) -> str | None:
        """Which copy has this name; None: none has."""
        process = self.owners.get(owner or "")
        return process.copy if process else None

    def name_of(self, owner: str | None) -> str:
        """Who that is, for a sentence."""
        return self.copy_of(owner) or (f"somebody ({owner})" if owner else "somebody")

    def holder(self, task: Task) -> str | None:
        """The copy that has it in work, if its latest process has."""
        last = task.changes[-1] if task.changes else None
        if last is None or last.stage != PROCESSING:
            return None
        process = self.owners.get(last.owner or "")
        if process is None or self.history.process(process.copy) is not process:
            return None
        return process.copy

    def said_done(self, task: Task, claim: Change, before: Event | None = None) -> Said | None:
        """The line by which the one who had made this claim said that the task was done."""
        process = self.owners.get(claim.owner or "")
        end = before.n if before else len(self.history.events)
        # No lower end: a line is read at once, and a change a moment after it was made.
        return next((s for s in task.done if s.process is process and s.event.n < end), None)

    def was_struck(self, owner: str | None, since: Change, until: Event) -> bool:
        """Whether this owner was killed, frozen or gone between a change and an event."""
        process = self.owners.get(owner or "")
        if process is None:
            return False
        if process.exited and process.exited.n < until.n:
            return True
        blows = self.history.struck("kill", "freeze")
        return any(blow.copy == process.copy and since.event.n < blow.n < until.n for blow in blows)


def _change(event: Event) -> Change:
    data = event.data
    return Change(
        event,
        data.get("stage_was"),
        data.get("stage"),
        data.get("owner_was"),
        data.get("owner"),
        data.get("lease_was_s"),
        data.get("lease_s"),
    )


def _owners(history: History) -> dict[str, Process]:
    """The names that copies were given: each is noted right before its process is started."""
    found = {}
    for note in history.noted("owner"):
        later = (p for p in history.processes if p.copy == note.copy and p.started.n > note.n)
        if process := next(later, None):
            found[str(note.data["owner"])] = process
    return found
