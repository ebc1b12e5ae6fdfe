"""One trial of a learner's program: the one place where program, proxy, broker and journal meet.

A trial takes its plan (steps, bodies) as data, runs the steps one after the other,
ends the program, looks a last time into the queues, and cleans up whatever came of
it. All that a verdict needs stands in the journal; nothing is judged here.

Waiting never accuses a slow machine: a trial gives up only when all is quiet (no
frame but heartbeats, no line, no work in hand, and the program's processes use no
CPU), or when nobody is left who could do anything. The notes that a trial writes,
with their data:

- `finished` {}: every step ran to its end, and all that was waited for came true.
- `gave-up` {waiting_for, why, quiet_s}: what was waited for did not come true. `waiting_for` is a
  key of `plan.WAITS`; `why`: `quiet` | `all-ended` | `one-ended` (of two copies that were to
  begin) | `too-long` | `flooded` | `forked` | `no-queue`. Several may follow one another.
- `never-connected` {copy, elsewhere}: a copy runs and has opened no connection. `elsewhere`: the
  addresses (`host:port`) that it is connected to instead, such as a hard-coded localhost:5672.
- `fault-missed` {fault, why}: a fault could not be shown to strike while a message was in flight.
- `not-possible-here` {fault, why}: this broker does not let us do that (a class server).
- `trouble` {what}: the broker or the kit failed: nothing can be said.
- `flooded` {copy, lines, bytes}, `forked` {copy, processes}: the copy was killed for it.
- `escaped` {copy, pids}: children that survived when the copy was killed or had ended, and were
  then killed too; no pids: something nobody could find held its connections, which were cut.
- `not-stopped` {copy}: still there 5 s after SIGTERM, so it was killed.
- `stderr` {copy, tail}: the last lines that the copy wrote on standard error.
- `left-out` {fault, why}: the fault makes no sense for this program: there is no confirm to refuse
  for one that uses transactions.
- `state` {files}: how many files the copies left in STATE_DIR, where there is one.
- `locked` {queue, why}: the queue is exclusive: nobody but the program can look into it.

Faults that are not the proxy's are `fault` events of the trial: `restart` {how}, `close-by-broker`
{connections}, `away` {door, for_s, connections}, `back` {door}, `delete-queue` {queue, left}. A
`signal` {kill, freeze} that hits work has data {body, message_id, in_hand: [bodies]}.
A note `end-of-input` {} is the end of a producer's standard input. `left` events stand after the
last `exited`, except those before a `delete-queue`, which have data.before_delete = true.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from labs.broker.connection import log_in
from labs.errors import LabError, NotPossibleHere, WaitedTooLong
from labs.journal import Event, Journal
from labs.judge.bodies import make_bodies
from labs.judge.ground import Ground, ground_for
from labs.judge.history import History
from labs.judge.lives import Delivery
from labs.judge.patience import Patience
from labs.judge.plan import Cancelled, GaveUp, Plan, Setting
from labs.judge.program import STOP_TIMEOUT_S, CannotStart, Program
from labs.judge.queues import Queues
from labs.proxy.server import Proxy, Upstream
from labs.waiting import wait_until

QUIET_S = 3.0
"""So long must all be quiet before a trial gives up, beyond the work in hand."""
STALLED_S = 12.0
"""So long may frames go to and fro with nothing new coming of it."""
CAP_S = 90.0
POLL_S = 0.01
GONE_S = 3.0


def run_trial(plan: Plan, setting: Setting) -> Sequence[Event]:
    """Run one trial from beginning to end; its journal.

    What fails of the kit or the broker is a note in the journal: it is not the
    learner's fault.

    Raises:
        CannotStart: the learner's command can't be run.
        Cancelled: the check is to end.
    """
    journal = Journal()
    bodies = make_bodies(f"{setting.seed}/{setting.exercise}/{plan.name}", plan.waves)
    queue = f"{setting.exercise}-{bodies[0][0][0].lower()}{bodies[-1][-1][0].lower()}"
    try:
        ground = ground_for(setting.broker, queue, setting.note, restarts=plan.restarts)
    except NotPossibleHere as reason:
        begin(journal, plan, setting, queue)
        journal.append("note", "not-possible-here", data={"fault": "restart", "why": str(reason)})
        return journal.events
    try:
        with ground:
            Trial(plan, setting, ground, journal, bodies).run()
    except CannotStart:
        raise
    except LabError as error:
        if not len(journal):
            begin(journal, plan, setting, queue)
        journal.append("note", "trouble", data={"what": str(error)})
    return journal.events


def begin(journal: Journal, plan: Plan, setting: Setting, queue: str, broker: str = "") -> Event:
    """Write the first event: what this run is."""
    data = {
        "exercise": setting.exercise,
        "trial": plan.name,
        "seed": setting.seed,
        "command": list(setting.command),
        "program": setting.program,
        "queue": queue,
        "delay_s": plan.delay_s,
        "copies": list(plan.copies),
        "broker": broker,
    }
    return journal.append("run", data=data)


class Trial:
    """A trial while it runs: what its steps work with."""

    def __init__(
        self,
        plan: Plan,
        setting: Setting,
        ground: Ground,
        journal: Journal,
        bodies: list[list[str]],
    ) -> None:
        self.plan, self.ground, self.journal, self.bodies = plan, ground, journal, bodies
        self.history = History()
        self.queues = Queues(ground, journal, self.history)
        self.programs: dict[str, Program] = {}
        """The latest program of each copy."""
        self.given: list[str] = []
        """The bodies that were published, or fed to the producer, so far."""
        self.proxy: Proxy
        """The way to the broker, while the trial runs."""
        self._setting = setting
        self._all: list[Program] = []
        self._patience = Patience()
        self.gave_up = False
        """Whether it gave up waiting for something."""

    # --- From beginning to end ---------------------------------------------------------------

    def run(self) -> None:
        """Run the steps, end the program, look a last time into the queues."""
        address = self.ground.address
        facts = log_in(address)
        broker = f"{facts.product} {facts.version}"
        first = begin(self.journal, self.plan, self._setting, self.queues.name, broker)
        self._zero_s = time.monotonic() - first.at_s
        upstream = Upstream(address.host, address.port, address.tls)
        faults = self.plan.faults
        with Proxy(upstream, self.journal, faults=faults, before_settle=self.drain) as self.proxy:
            try:
                self._run_steps()
                self.queues.look()
                self._stop_programs()
            finally:
                self._end_programs()
        self.queues.wait_until_requeued()
        for queue in self.queues.declared():
            self.queues.take_all(queue)
        if not self.gave_up:
            self.note("finished")

    def _run_steps(self) -> None:
        with suppress(GaveUp):  # it is noted, and what was seen up to here says more
            for step in self.plan.steps:
                step.run(self)
        self.catch_up()

    def _stop_programs(self) -> None:
        """Ask each copy to end, as a person would, and tell which did not."""
        for program in self._all:
            if program.is_running:
                program.resume()
                program.ask_to_end()
        for program in self._all:
            if not program.wait_until_exited(STOP_TIMEOUT_S):
                self.note("not-stopped", copy=program.copy)

    def _end_programs(self) -> None:
        """Nothing of any copy is left after this, however the trial ended."""
        for program in self._all:
            escaped = program.end()
            self._note_escaped(program.copy, escaped)
            if program.stderr_tail.strip():
                self.note("stderr", copy=program.copy, tail=program.stderr_tail)
        if self.plan.keeps_state:
            self.note("state", files=sum(path.is_file() for path in self._state.rglob("*")))
        self.catch_up()

    # --- The copies --------------------------------------------------------------------------

    @property
    def _state(self) -> Path:
        return self._setting.folder / self.plan.name

    def start(self, copy: str) -> Program:
        """Start a copy, for the first time or again, with the environment of the contract."""
        address = self.ground.address
        port = self.proxy.open(copy)
        through = replace(address, host="127.0.0.1", port=port, tls=False)
        environment = {
            "AMQP_URL": through.url,
            "QUEUE": self.queues.name,
            "DELAY": f"{self.plan.delay_s:g}",
        }
        if self.plan.keeps_state:
            self._state.mkdir(exist_ok=True)
            environment["STATE_DIR"] = str(self._state)
        program = Program(
            self._setting.command,
            copy,
            environment,
            self.journal,
            mark=f"{self._setting.mark}/{self.plan.name}/{copy}{len(self._all)}",
            cwd=self._setting.cwd,
            reads_input=self._setting.program == "producer",
            secret=address.password,
        )
        self._all.append(program)
        self.programs[copy] = program
        program.start()
        return program

    def drain(self) -> None:
        """Record what the copies have printed up to now; from any thread."""
        for program in tuple(self._all):
            program.drain()

    def running(self) -> list[Program]:
        """The copies that run."""
        return [program for program in self.programs.values() if program.is_running]

    def kill(self, copy: str, data: Mapping[str, Any]) -> None:
        """Kill a copy with all its processes, and see that its connections close."""
        escaped = self.programs[copy].kill(data)
        self._note_escaped(copy, escaped)
        with suppress(WaitedTooLong):
            wait_until(lambda: not self.open_connections(copy), GONE_S, interval_s=POLL_S)
            return
        # A process that nobody could find holds them. It must not go on working.
        self.note("escaped", copy=copy, pids=[])
        self.proxy.cut(copy)

    def open_connections(self, copy: str) -> list[int]:
        """The numbers of the copy's connections that are open."""
        return [one.number for one in self.proxy.connections(copy) if one.is_open]

    def _note_escaped(self, copy: str, pids: Sequence[int]) -> None:
        if pids:
            self.note("escaped", copy=copy, pids=list(pids))

    def publish(self, number: int) -> None:
        """Publish a wave.

        Raises:
            GaveUp: there is no queue to publish to.
        """

        def messages() -> Iterator[tuple[str, str]]:
            for body in self.bodies[number]:
                message_id = f"{self.plan.name}-{len(self.given) + 1}-{secrets.token_hex(4)}"
                # On record before it is on its way: a delivery must not stand before it.
                data = {"body": body, "message_id": message_id, "wave": number + 1}
                self.journal.append("published", data=data)
                self.given.append(body)
                yield body, message_id

        if not self.queues.publish(messages()):
            self.give_up("ready", "no-queue")

    # --- Waiting -----------------------------------------------------------------------------

    def note(self, name: str, *, copy: str | None = None, **data: Any) -> None:
        """Write a note."""
        self.journal.append("note", name, copy=copy, data=data | ({"copy": copy} if copy else {}))

    def catch_up(self) -> None:
        """Take in what has happened since the last time."""
        new = self.journal.since(len(self.history.events))
        self._patience.follow(new)
        self.history.follow(new)

    def wait(
        self,
        waiting_for: str,
        condition: Callable[[], object],
        *,
        quiet_s: float | Callable[[], float] = QUIET_S,
        away_s: float = 0.0,
        copies: Sequence[str] | None = None,
    ) -> None:
        """Wait until the condition holds, as long as there is hope.

        Args:
            waiting_for: a key of WAITS.
            condition: looks at the history, which is up to date.
            quiet_s: the patience with a program that does nothing; or what says it, each time.
            away_s: the same, while it has no connection.
            copies: who could make it come true; None: any copy.

        Raises:
            GaveUp: it will not come true; a note says why.
        """
        self._patience.begin()
        began = time.monotonic()
        while True:
            self._stop_runaways(waiting_for)
            patience_s = quiet_s if isinstance(quiet_s, float) else quiet_s()
            hopeless = self._hopeless(copies) or self._too_long(
                time.monotonic() - began, self._patience_s(patience_s, away_s)
            )
            self.catch_up()  # after the look at who lives: their last words may have come since
            if condition():
                return
            if self._setting.cancelled.is_set():
                raise Cancelled
            if hopeless:
                self.give_up(waiting_for, hopeless)
            time.sleep(POLL_S)

    def pause(self, for_s: float) -> None:
        """Let time pass, and take in what happens; only where time itself is the fault."""
        until = time.monotonic() + for_s
        while time.monotonic() < until:
            if self._setting.cancelled.is_set():
                raise Cancelled
            time.sleep(POLL_S)
        self.catch_up()

    def now_s(self) -> float:
        """The journal's time."""
        return time.monotonic() - self._zero_s

    def quiet_s(self) -> float:
        """For how long nothing has happened, and no copy was at something."""
        return self._patience.quiet_s(self.running())

    def give_up(self, waiting_for: str, why: str) -> NoReturn:
        """Note that the wait was in vain, and end it."""
        self.gave_up = True
        quiet_s = round(self._patience.quiet_s(()), 1)
        self.note("gave-up", waiting_for=waiting_for, why=why, quiet_s=quiet_s)
        raise GaveUp

    def _stop_runaways(self, waiting_for: str) -> None:
        """Kill at once what floods its output, or forks without end."""
        for program in self.running():
            if program.flooded:
                self.note("flooded", copy=program.copy, lines=program.lines, bytes=program.bytes)
                program.kill()
                self.give_up(waiting_for, "flooded")
            if program.forked:
                self.note("forked", copy=program.copy, processes=program.processes())
                program.kill()
                self.give_up(waiting_for, "forked")

    def _hopeless(self, copies: Sequence[str] | None) -> str:
        """Why it can't come true any more; empty: it can."""
        hopeful = [p for p in self.running() if copies is None or p.copy in copies]
        return "" if hopeful else "all-ended"

    def _patience_s(self, quiet_s: float, away_s: float) -> float:
        """How long a program may be quiet, by whether it has a connection."""
        connected = any(self.open_connections(program.copy) for program in self.running())
        return quiet_s if connected else max(quiet_s, away_s)

    def _too_long(self, waited_s: float, quiet_s: float) -> str:
        if self._works_on_what_it_lost():
            return ""
        work_s = max((self.history.work_s(d.message.body) for d in self.in_work()), default=0.0)
        if self._patience.quiet_s(self.running()) > quiet_s + work_s:
            return "quiet"
        if waited_s > CAP_S or self._patience.stalled_s() > max(STALLED_S, quiet_s) + work_s:
            return "too-long"
        return ""

    def _works_on_what_it_lost(self) -> bool:
        """Whether a copy may still be at the work on a message that went back to the queue."""
        running = {program.copy for program in self.running()}
        return any(
            self.now_s() < delivery.event.at_s + self.history.work_s(delivery.message.body)
            for delivery in self.history.deliveries
            if delivery.returned and not delivery.done and delivery.copy in running
        )

    def in_work(self, copy: str | None = None) -> list[Delivery]:
        """What a copy (None: any that runs) was sent, and is not done with."""
        copies = [copy] if copy else [program.copy for program in self.running()]
        return [delivery for one in copies for delivery in self.history.in_hand(one)]
