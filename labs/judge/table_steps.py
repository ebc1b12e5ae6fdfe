"""The steps of a trial on a task table, as frozen values: put, see all take part, hold, strike.

The fault of `claim-once` is no blow at all: somebody else writes to the database, and
holds its write lock for a moment, just after tasks were put there. All copies see the
same table then, none can write; when the lock is free they all write at once. So who
reads first and writes later meets the others for certain, not by luck. `Start` is in
`labs.judge.steps`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from labs.judge.copies import QUIET_S
from labs.judge.plan import GaveUp
from labs.judge.rules.claiming import claimed_once, every_task_done_once, side_by_side
from labs.judge.steps import START_S
from labs.judge.table_trial import TableTrial
from labs.judge.tasks import PROCESSING, SETTLE, Change, Task
from labs.judge.verdicts import Outcome

HOLD_S = 0.6
"""So long the write lock is held; each copy has looked for a task by then."""
TOGETHER_S = 0.5
"""Who wants a task writes that within this time, once the lock is free."""
PACE_S = 1.0
"""So long nothing may happen before more tasks are put, to see who does those."""
INTO_WORK_S = 0.3
"""So soon after its claim a task's work is struck."""
THAW_S = 0.25
"""So long after another has claimed its task a frozen copy is thawed: the other is at work then."""
LATE_S = 2.5
"""So long after the end of a lease nobody may have taken the task before all hope is given up."""
MOST_CLAIMS = 3
"""Whoever claims a task more often has shown what there is to see."""


@dataclass(frozen=True)
class Put:
    """Put a wave of tasks into the table."""

    wave: int

    def run(self, trial: TableTrial) -> None:
        """Put it."""
        trial.put(self.wave)


@dataclass(frozen=True)
class EachTakesPart:
    """Put one small wave after the other until every copy has claimed or done something."""

    waves: tuple[int, ...]

    def run(self, trial: TableTrial) -> None:
        """Wait for the first sign for as long as a program takes to start, then for each copy."""
        with suppress(GaveUp):
            trial.wait("taking-part", lambda: self._anybody(trial), away_s=START_S)
        for wave in self.waves:
            if not trial.running():
                raise GaveUp
            if self._all(trial):
                return
            if self._nobody_came(trial):
                break  # the first wave has lain there for long enough
            trial.put(wave)
            with suppress(GaveUp):
                trial.wait("taking-part", lambda: self._all(trial) or self._idle(trial))
        for copy, program in trial.programs.items():
            if program.is_running and not trial.takes_part(copy):
                trial.note("never-connected", copy=copy, elsewhere=[])
        if self._nobody_came(trial):
            raise GaveUp

    def _nobody_came(self, trial: TableTrial) -> bool:
        claimed = any(task.claims for task in trial.tasks.all)
        return trial.gave_up and not claimed and not self._anybody(trial)

    def _anybody(self, trial: TableTrial) -> bool:
        return any(trial.takes_part(copy) for copy in trial.programs)

    def _all(self, trial: TableTrial) -> bool:
        return all(trial.takes_part(program.copy) for program in trial.running())

    def _idle(self, trial: TableTrial) -> bool:
        return trial.all_settled() or trial.quiet_s() > PACE_S


@dataclass(frozen=True)
class HoldAtWork:
    """Put a wave; hold the write lock while copies work on it: they can't mark what is done."""

    wave: int

    def run(self, trial: TableTrial) -> None:
        """Take it when all that run are at work; else leave the rest to `Contend`."""
        bodies = trial.put(self.wave)
        wanted = min(len(bodies), len(trial.running()))
        with suppress(GaveUp):
            trial.wait("in-work", lambda: _in_work(trial) >= wanted or trial.all_settled())
        if _in_work(trial):
            with held(trial):
                trial.pause(HOLD_S)
        TasksDone().run(trial)


@dataclass(frozen=True)
class Contend:
    """Put a wave and hold the write lock at once: all copies see it, and none can claim yet."""

    waves: tuple[int, ...]
    enough: int = 1
    """So many times it is to strike: several claimed at once."""
    left_by: str = ""
    """The tasks were left in work by this owner, who is long dead."""

    def run(self, trial: TableTrial) -> None:
        """Repeat it until it has struck; where it never did, leave a note."""
        struck = 0
        for wave in self.waves:
            with held(trial, wave, self.left_by):
                trial.pause(HOLD_S)
            free_s = trial.now_s()
            TasksDone().run(trial)
            struck += _claimed_together(trial, free_s)
            if struck == self.enough or self._is_seen(trial):
                break
        if not struck:
            why = "no two copies wanted a task at the same time"
            trial.note("fault-missed", fault="hold", why=why, by_chance=len(trial.running()) > 1)

    def _is_seen(self, trial: TableTrial) -> bool:
        """Whether more of the same would show nothing new; who works one by one never contends."""
        rules = (claimed_once, every_task_done_once, side_by_side)
        return any(rule(trial.history).outcome is Outcome.BROKEN for rule in rules)


@dataclass(frozen=True)
class KillAtTask:
    """Kill whoever has this task, in the middle of its work."""

    wave: int
    index: int = 0

    def run(self, trial: TableTrial) -> None:
        """Kill it where it is at work; else leave a note."""
        strike_holder(trial, "kill", trial.bodies[self.wave][self.index], trial.kill)


@dataclass(frozen=True)
class StartAtWork:
    """Start again whoever was killed, while another works: what it does first is to be seen."""

    def run(self, trial: TableTrial) -> None:
        """Start it, and wait until it takes part; was the other at work all the time?"""
        dead = [copy for copy, program in trial.programs.items() if not program.is_running]
        for copy in dead:
            trial.start(copy)
            with suppress(GaveUp):
                trial.wait("again", partial(trial.takes_part, copy), away_s=START_S)
            if not self._was_at_work(trial, copy):
                why = "no other copy was at work when the killed one was there again"
                # No promise hangs on it: some programs take long to start, and are none the worse.
                trial.note("fault-missed", fault="restart-at-work", why=why)

    def _was_at_work(self, trial: TableTrial, copy: str) -> bool:
        """Whether another has a task from before its start until its first claim."""
        process, owners = trial.history.process(copy), trial.tasks.owners
        claims = [claim for task in trial.tasks.all for claim in task.claims]
        mine = [c.event.n for c in claims if owners.get(c.owner or "") is process]
        return process is not None and any(
            claim.event.n < process.started.n
            and owners.get(claim.owner or "") not in (None, process)
            and _over_n(task, claim) > min(mine, default=0)
            for task in trial.tasks.all
            for claim in task.claims
            if trial.tasks.copy_of(claim.owner) != copy
        )


@dataclass(frozen=True)
class FreezeAtTask:
    """Freeze whoever has this task until another has claimed it and works on it; thaw it then."""

    wave: int
    index: int = 0

    def run(self, trial: TableTrial) -> None:
        """Freeze it where it is at work; else leave a note."""
        body = trial.bodies[self.wave][self.index]

        def freeze(copy: str, data: dict[str, object]) -> None:
            trial.programs[copy].freeze(data)
            others = [other for other in trial.programs if other != copy]
            task = task_of(trial, body)
            claims = len(task.claims)
            try:
                trial.wait(
                    "taken-over",
                    lambda: len(task_of(trial, body).claims) > claims,
                    quiet_s=LATE_S + (trial.plan.lease_s or 0.0),
                    copies=others,
                )
                trial.pause(THAW_S)
            finally:
                trial.programs[copy].thaw()

        strike_holder(trial, "freeze", body, freeze)


@dataclass(frozen=True)
class TasksDone:
    """Wait until every task is done and marked so."""

    def run(self, trial: TableTrial) -> None:
        """Wait; a task that goes from hand to hand is not watched for long."""

        def astray() -> bool:
            return any(len(task.claims) > MOST_CLAIMS for task in trial.tasks.all)

        patience_s = LATE_S + trial.plan.lease_s if trial.plan.lease_s else QUIET_S
        trial.wait("done", lambda: trial.all_settled() or astray(), quiet_s=patience_s)
        if astray():
            trial.give_up("settled", "too-long")


# --- What several of them do ------------------------------------------------------------------


@contextmanager
def held(trial: TableTrial, wave: int | None = None, left_by: str = "") -> Iterator[None]:
    """Hold the database's write lock; `wave`: from the moment at which this wave is there."""
    with trial.turn_to_write():
        if wave is None:
            trial.ground.hold()
        else:
            trial.put(wave, left_by=left_by, then_hold=True)
    trial.journal.append("fault", "hold", data={"for_s": HOLD_S})
    try:
        yield
    finally:
        trial.journal.append("fault", "release")
        trial.ground.release()


def strike_holder(
    trial: TableTrial, fault: str, body: str, strike: Callable[[str, dict[str, object]], object]
) -> None:
    """Strike the copy that is in the middle of the work on a task.

    It stands still for the last look. It must not stand still in the middle of a write: nobody
    else could write then, and that is not the fault that it is about.
    """
    try:
        while True:
            trial.wait("in-work", lambda: _is_into(trial, body) or task_of(trial, body).settled)
            copy = trial.tasks.holder(task_of(trial, body))
            if copy is None or not trial.programs[copy].is_running:
                break
            paused_s = trial.now_s()
            trial.programs[copy].pause()
            trial.look()
            trial.catch_up()
            task = task_of(trial, body)
            if trial.tasks.holder(task) == copy and not task.done and trial.ground.is_free():
                strike(copy, {"body": body, "in_hand": [body]})
                return
            trial.programs[copy].resume()
            trial.stood_still(paused_s)  # it may have held the write lock: nobody could extend
    except GaveUp:
        if trial.tasks.history.struck(fault):
            raise
    why = f"no copy was seen in the middle of the work on {body!r}"
    trial.note("fault-missed", fault=fault, why=why, by_chance=bool(trial.running()))
    if not trial.running():
        raise GaveUp


def task_of(trial: TableTrial, body: str) -> Task:
    """The task of this body, as of the last look."""
    return next(task for task in trial.tasks.all if task.body == body)


def _is_into(trial: TableTrial, body: str) -> bool:
    task = task_of(trial, body)
    if trial.tasks.holder(task) is None or task.done:
        return False
    return trial.now_s() - task.claims[-1].at_s > INTO_WORK_S


def _over_n(task: Task, claim: Change) -> int:
    """At which event the one who had made this claim had done the task; or had not by now."""
    ends = [change.event.n for change in task.changes if change.move == SETTLE]
    return min((n for n in ends if n > claim.event.n), default=sys.maxsize)


def _in_work(trial: TableTrial) -> int:
    return sum(task.stage == PROCESSING and not task.done for task in trial.tasks.all)


def _claimed_together(trial: TableTrial, free_s: float) -> bool:
    """Whether two copies claimed (or said to have done) something right after that moment."""
    owners = {
        claim.owner
        for task in trial.tasks.all
        for claim in task.claims
        if free_s - 0.1 < claim.at_s < free_s + TOGETHER_S
    }
    return len(owners) > 1
