"""One trial on a queue service: program, door, service and journal meet here.

The orders stand in a file that is there before the program is. Bodies of the plan's waves are
what the orders' jobs are called; the first letters of each are the name of its order. Some
orders are alike but for their names, and a bad one has a job that no service takes. What
went over the wire the door writes down (`labs.judge.service_door`), and how copies are kept
and waited for `labs.judge.copies` says.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labs.journal import Event, Journal
from labs.judge.bodies import TOKEN, make_bodies
from labs.judge.copies import Copies, trouble_noted, write_first
from labs.judge.orders import Orders
from labs.judge.plan import Plan, Setting
from labs.judge.pulse import Pulse
from labs.judge.service_door import Door
from labs.judge.service_ground import ServiceGround
from labs.judge.signs.starting import came_too_soon

TIMEOUT_S = 1.0
"""So long a program is told to wait for an answer."""
EACH_RUNS = {"screwdriver.cd/collapseBuilds": False}
"""Who orders a job twice wants it twice: a newer build does not take an older one's place."""
STALL_S = 0.8
"""Where the machine stands still for so long, a program may give up an answer that was given."""
NO_JOB = 0
"""Ids are positive."""


def run_service_trial(plan: Plan[ServiceTrial], setting: Setting) -> Sequence[Event]:
    """Run one trial from beginning to end; its journal.

    What fails of the kit is a note in the journal: it is not the learner's fault.

    Raises:
        CannotStart: the learner's command can't be run.
        Cancelled: the check is to end.
    """
    journal = Journal()
    bodies = make_bodies(f"{setting.seed}/{setting.exercise}/{plan.name}", plan.waves)
    ground = ServiceGround(setting.folder / f"{plan.name}-{secrets.token_hex(3)}.sqlite")
    with trouble_noted(journal, plan, setting, service="queue-service"), ground:
        ServiceTrial(plan, setting, ground, journal, bodies).run()
    return journal.events


class ServiceTrial(Copies):
    """A trial on a queue service while it runs."""

    def __init__(
        self,
        plan: Plan[ServiceTrial],
        setting: Setting,
        ground: ServiceGround,
        journal: Journal,
        bodies: list[list[str]],
    ) -> None:
        super().__init__(plan, setting, journal, bodies)
        self.ground = ground
        source = random.Random(f"{setting.seed}/{plan.name}/jobs")
        self.lines = list(_orders([body for one in bodies for body in one], plan, source))
        """The orders, as they stand in the file."""
        self._door: Door
        self._pulse = Pulse(self.now_s, STALL_S)
        self._orders = Orders.of(self.history)

    # --- The service --------------------------------------------------------------------------

    def begin(self) -> Event:
        """Say how long the program is to wait for an answer."""
        plan, setting = self.plan, self._setting
        said = {"service": "queue-service", "timeout_s": TIMEOUT_S}
        return write_first(self.journal, plan, setting, **said)

    @contextmanager
    def stage(self) -> Iterator[None]:
        """The file with the orders, and the door through which the program comes."""
        for line in self.lines:
            data = {"body": line["order"], "order": line["order"], "wave": 1}
            data |= {"job": line["jobId"], "job_name": line["jobName"]}
            data |= {"bad": True} if line["jobId"] == NO_JOB else {}
            self.journal.append("published", data=data)
            self.given.append(str(line["order"]))
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in self.lines)
        self._file.write_text(text, encoding="utf-8")
        (copy,), faults = self.plan.copies, self.plan.service_faults
        door = Door(self.ground, self.journal, self.drain, self.given, faults, copy)
        with self._pulse, door as self._door:
            yield

    @property
    def _file(self) -> Path:
        return self._setting.folder / f"{self.plan.name}-orders.jsonl"

    def environment(self, copy: str) -> Mapping[str, str]:
        """Where the service is, where the orders are, and how long an answer may take."""
        del copy
        return {
            "QUEUE_SERVICE_URL": self._door.url,
            "ORDERS": str(self._file),
            "TIMEOUT": f"{TIMEOUT_S:g}",
        }

    # --- Looking at it -----------------------------------------------------------------------

    @property
    def orders(self) -> Orders:
        """The orders, as of the last look."""
        return self._orders

    def catch_up(self) -> None:
        """Take in what has happened."""
        known = len(self.history.events)
        super().catch_up()
        if self._door.failure:
            raise self._door.failure
        if len(self.history.events) > known:
            self._orders = Orders.of(self.history)

    def look(self) -> None:
        """Nothing is hidden: all that comes to the service comes through the door."""

    def look_a_last_time(self) -> None:
        """Take down what is in the service's store, and whether the machine may be to blame."""
        for one in self.ground.stored():
            data = {"body": one.order, "order": one.order, "build": one.build, "state": one.state}
            self.journal.append("left", data={"queue": "queue-service", **data})
        super().catch_up()
        if self._pulse.stalls and came_too_soon(self.history):
            what = "an answer was given while the machine stood still"
            self.note("trouble", what=what)
            self.note("fault-missed", fault="busy", why=what, by_chance=True)

    def is_connected(self, copy: str) -> bool:
        """Whether it runs and has sent a request by now: between two it may have no connection."""
        process = self.history.process(copy)
        return self.programs[copy].is_running and any(
            request.process is process for request in self.orders.requests
        )

    def cut_off(self, copy: str) -> None:
        """A dead process holds no connection."""

    def longest_work_s(self) -> float:
        """An order is no work."""
        return 0.0


def _orders(
    names: Sequence[str], plan: Plan[ServiceTrial], source: random.Random
) -> Iterator[Mapping[str, Any]]:
    """The lines of the file: for each name an order."""
    jobs = source.sample(range(1000, 10_000), len(names))
    first, second = plan.alike or (0, 0)
    for n, name in enumerate(names):
        of = first if n == second else n
        yield {
            "order": name[:TOKEN],
            "jobId": NO_JOB if n == plan.bad else jobs[of],
            "jobName": names[of][TOKEN:].strip(),
            "annotations": EACH_RUNS,
        }
