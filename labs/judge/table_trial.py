"""One trial on a task table: program, database and journal meet here, with no proxy between.

The judge looks, all the time, at what the table's triggers have written down, and then
reads the program's output to its end before it writes the changes into the journal: so
a `changed` event stands behind the lines that were printed before that change. How
copies are kept and waited for is said in `labs.judge.copies`. Two notes more:

- `owner` {owner}: the name that a copy is given, right before it is started.
- `locked-out` {for_s}: the judge's own turn to write did not come.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from labs.journal import Event, Journal
from labs.judge.bodies import make_bodies
from labs.judge.copies import Copies, trouble_noted, write_first
from labs.judge.plan import Plan, Setting
from labs.judge.program import Program
from labs.judge.pulse import Pulse
from labs.judge.rules.leasing import STALL_S, lost_at_work, lost_to_the_machine
from labs.judge.table_ground import PATIENCE_S, NotWritable, Row, TableGround
from labs.judge.tasks import PROCESSING, Tasks, move_of

LOOK_S = 0.02


def run_table_trial(plan: Plan[TableTrial], setting: Setting) -> Sequence[Event]:
    """Run one trial from beginning to end; its journal.

    What fails of the kit is a note in the journal: it is not the learner's fault.

    Raises:
        CannotStart: the learner's command can't be run.
        Cancelled: the check is to end.
    """
    journal = Journal()
    bodies = make_bodies(f"{setting.seed}/{setting.exercise}/{plan.name}", plan.waves)
    ground = TableGround(setting.folder / f"{plan.name}-{secrets.token_hex(3)}.sqlite")
    with trouble_noted(journal, plan, setting, table="tasks"), ground:
        TableTrial(plan, setting, ground, journal, bodies).run()
    return journal.events


class TableTrial(Copies):
    """A trial on a task table while it runs."""

    def __init__(
        self,
        plan: Plan[TableTrial],
        setting: Setting,
        ground: TableGround,
        journal: Journal,
        bodies: list[list[str]],
    ) -> None:
        super().__init__(plan, setting, journal, bodies)
        self.ground = ground
        source = random.Random(f"{setting.seed}/{plan.name}/ids")
        self._next_id = source.randrange(100, 900)
        self._ids: dict[int, str] = {}
        self._looked = 0.0
        self._pulse = Pulse(self.now_s, STALL_S)
        self._tasks: Tasks = Tasks.of(self.history)

    # --- The table ---------------------------------------------------------------------------

    def begin(self) -> Event:
        """Say which table it is, and how long a lease lasts."""
        plan, setting = self.plan, self._setting
        return write_first(self.journal, plan, setting, table="tasks", lease_s=plan.lease_s)

    @contextmanager
    def stage(self) -> Iterator[None]:
        """There is nothing between the copies and the table; whether time goes on is looked at."""
        with self._pulse:
            yield

    def start(self, copy: str) -> Program:
        """Start it, with a name that nobody else has ever had."""
        self.note("owner", copy=copy, owner=f"{copy}-{secrets.token_hex(3)}")
        return super().start(copy)

    def environment(self, copy: str) -> Mapping[str, str]:
        """Where the database is, what the copy is called, and how long a lease lasts."""
        self.catch_up()
        name = next(n for n in reversed(self.history.noted("owner")) if n.copy == copy)
        told = {"DATABASE": str(self.ground.path), "OWNER": str(name.data["owner"])}
        return told | ({"LEASE": f"{self.plan.lease_s:g}"} if self.plan.lease_s else {})

    def put(self, number: int, *, left_by: str = "", then_hold: bool = False) -> Sequence[str]:
        """Put a wave of tasks into the table (`TableGround.put`); their bodies.

        Raises:
            GaveUp: somebody holds the database.
        """
        bodies, new = self.bodies[number], []
        for body in bodies:
            self._next_id += 1
            new.append((self._next_id, body))
            # On record before it is there: a claim must not stand before it.
            data = {"body": body, "task": self._next_id, "wave": number + 1}
            left = {"stage": PROCESSING, "owner": left_by} if left_by else {}
            self.journal.append("published", data=data | left)
        self._ids |= dict(new)
        self.given += bodies
        with self.turn_to_write():
            self.ground.put(new, left_by=left_by, then_hold=then_hold)
        return bodies

    @contextmanager
    def turn_to_write(self) -> Iterator[None]:
        """Give up where the judge's turn to write does not come."""
        try:
            yield
        except NotWritable:
            self.note("locked-out", for_s=PATIENCE_S)
            self.give_up("turn", "too-long")

    # --- Looking at it -----------------------------------------------------------------------

    @property
    def tasks(self) -> Tasks:
        """The tasks, as of the last look."""
        return self._tasks

    def catch_up(self) -> None:
        """Look at the table now and then, and take in what has happened."""
        if time.monotonic() - self._looked > LOOK_S:
            self.look()
            self._looked = time.monotonic()
        known = len(self.history.events)
        super().catch_up()
        if len(self.history.events) > known:
            self._tasks = Tasks.of(self.history)

    def look(self) -> None:
        """Put each change on record, behind all that the program had printed before it."""
        rows = self.ground.changes()
        if rows:
            self.drain()
        for row in rows:
            if row.what != "insert" or row.task not in self._ids:
                self._record(row)

    def look_a_last_time(self) -> None:
        """See what changed as the copies ended, and whether the machine may be to blame for it."""
        self.look()
        super().catch_up()
        if self.plan.lease_s and self._lost_to_the_machine(self.plan.lease_s):
            what = "a lease was lost while the machine stood still"
            self.note("trouble", what=what)
            self.note("fault-missed", fault="lease", why=what, by_chance=True)

    def stood_still(self, since_s: float) -> None:
        """Remember that the judge itself kept a copy from going on, and perhaps the others, too."""
        self._pulse.stalls.append((since_s, self.now_s()))

    def _lost_to_the_machine(self, lease_s: float) -> bool:
        tasks, stalls = Tasks.of(self.history), self._pulse.stalls
        return any(
            lost_to_the_machine(task, change, stalls, lease_s)
            for task in tasks.all
            for change in lost_at_work(tasks, task)
        )

    def pause(self, for_s: float) -> None:
        """Let time pass, and look on."""
        until = time.monotonic() + for_s
        while (left_s := until - time.monotonic()) > 0:
            super().pause(min(left_s, LOOK_S))

    def _record(self, row: Row) -> None:
        owners = (_named(row.owner_was), _named(row.owner))
        ends = (self._journal_s(row.lease_was), self._journal_s(row.lease))
        data = {
            "task": row.task,
            "body": self._ids.get(row.task, ""),
            "at_s": self._journal_s(row.at),
            "stage_was": row.stage_was,
            "stage": row.stage,
            "owner_was": owners[0],
            "owner": owners[1],
            "lease_was_s": ends[0],
            "lease_s": ends[1],
            "lease_end": row.lease if isinstance(row.lease, int | float) else _named(row.lease),
        }
        move = move_of(row.stage_was, row.stage, owners, row.lease_was != row.lease)
        self.journal.append("changed", move, data=data)

    def _journal_s(self, at: object) -> float | None:
        """A time since 1970 as the journal's; None: it is no number."""
        if not isinstance(at, int | float):
            return None
        return round(self.now_s() - (time.time() - at), 3)

    def all_settled(self) -> bool:
        """Whether every task is done and marked as done."""
        return all(task.done and task.settled for task in self.tasks.all)

    # --- What the copies are at --------------------------------------------------------------

    def is_connected(self, copy: str) -> bool:
        """Whether it runs and was seen to take part: nobody tells who has a file open."""
        return self.programs[copy].is_running and self.takes_part(copy)

    def takes_part(self, copy: str) -> bool:
        """Whether its latest process has claimed something, or said that something was done."""
        process = self.history.process(copy)
        return any(said.process is process and said.message for said in self.history.lines) or any(
            self.tasks.owners.get(claim.owner or "") is process
            for task in self.tasks.all
            for claim in task.claims
        )

    def cut_off(self, copy: str) -> None:
        """A dead process holds no lock."""

    def longest_work_s(self) -> float:
        """The longest work that may be in somebody's hand."""
        waits = (task.body for task in self.tasks.all if not task.settled)
        return max(map(self.history.work_s, waits), default=0.0)


def _named(value: object) -> str | None:
    return None if value is None else str(value)[:100]
