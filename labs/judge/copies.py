"""The copies of a learner's program while a trial runs: started, listened to, waited for, ended.

`Copies` is what all trials have in common, whatever the program talks to: on RabbitMQ
(`labs.judge.trial`), on a partitioned log (`labs.judge.log_trial`) or anything else. It knows
processes, the journal and patience, and nothing of brokers; what a kind of trial adds are the
few methods that are abstract here.

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
- `fault-missed` {fault, why, by_chance}: a fault could not be shown to strike while a message was
  in flight; `by_chance`: in another try of the trial it may.
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

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from labs.errors import LabError, NotPossibleHere, WaitedTooLong
from labs.journal import Event, Journal
from labs.judge.history import History
from labs.judge.patience import Patience
from labs.judge.plan import Cancelled, GaveUp, Plan, Setting
from labs.judge.program import STOP_TIMEOUT_S, CannotStart, Program
from labs.waiting import wait_until

QUIET_S = 3.0
"""So long must all be quiet before a trial gives up, beyond the work in hand."""
STALLED_S = 12.0
"""So long may frames go to and fro with nothing new coming of it."""
CAP_S = 90.0
POLL_S = 0.01
GONE_S = 3.0


def write_first(journal: Journal, plan: Plan[Any], setting: Setting, **ground: Any) -> Event:
    """Write the first event of a journal: what this run is, and on what ground."""
    data = {
        "exercise": setting.exercise,
        "trial": plan.name,
        "seed": setting.seed,
        "command": list(setting.command),
        "program": setting.program,
        "delay_s": plan.delay_s,
        "copies": list(plan.copies),
    }
    return journal.append("run", data=data | ground)


@contextmanager
def trouble_noted(
    journal: Journal, plan: Plan[Any], setting: Setting, **ground: Any
) -> Iterator[None]:
    """Note in the journal what fails of the kit or the ground: it is not the learner's fault.

    Raises:
        CannotStart: the learner's command can't be run.
    """
    try:
        yield
    except CannotStart:
        raise
    except LabError as error:
        if not len(journal):
            write_first(journal, plan, setting, **ground)
        if isinstance(error, NotPossibleHere):
            journal.append("note", "not-possible-here", data={"fault": "", "why": str(error)})
        else:
            journal.append("note", "trouble", data={"what": str(error)})


class Copies(ABC):
    """A trial while it runs: what its steps work with, on whatever ground."""

    def __init__(
        self, plan: Plan[Any], setting: Setting, journal: Journal, bodies: list[list[str]]
    ) -> None:
        self.plan, self.journal, self.bodies = plan, journal, bodies
        self.history = History()
        self.programs: dict[str, Program] = {}
        """The latest program of each copy."""
        self.given: list[str] = []
        """The bodies that were published, or fed to the producer, so far."""
        self.gave_up = False
        """Whether it gave up waiting for something."""
        self._setting = setting
        self._all: list[Program] = []
        self._patience = Patience()

    # --- What the ground decides --------------------------------------------------------------

    @abstractmethod
    def begin(self) -> Event:
        """Write the first event: what this run is."""

    @abstractmethod
    def stage(self) -> AbstractContextManager[object]:
        """What has to be there while the copies run."""

    @abstractmethod
    def environment(self, copy: str) -> Mapping[str, str]:
        """What a copy is told of the broker."""

    @abstractmethod
    def is_connected(self, copy: str) -> bool:
        """Whether the copy talks to the broker now."""

    @abstractmethod
    def cut_off(self, copy: str) -> None:
        """End what still connects a dead copy to the broker, where that can be done."""

    @abstractmethod
    def longest_work_s(self) -> float:
        """How long the work may still last that a copy has in hand."""

    @abstractmethod
    def look(self) -> None:
        """Put on record how things are before the copies are asked to end."""

    @abstractmethod
    def look_a_last_time(self) -> None:
        """Put on record what is left when they have ended."""

    # --- From beginning to end ---------------------------------------------------------------

    def run(self) -> None:
        """Run the steps, end the program, look a last time at what is left."""
        self._zero_s = time.monotonic() - self.begin().at_s
        with self.stage():
            try:
                self._run_steps()
                self.look()
                self._stop_programs()
            finally:
                self._end_programs()
        self.look_a_last_time()
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
        environment = {**self.environment(copy), "DELAY": f"{self.plan.delay_s:g}"}
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
            secret=self.secret,
        )
        self._all.append(program)
        self.programs[copy] = program
        program.start()
        return program

    @property
    def secret(self) -> str:
        """A password that must not be in the journal; empty: there is none."""
        return ""

    def drain(self) -> None:
        """Record what the copies have printed up to now; from any thread."""
        for program in tuple(self._all):
            program.drain()

    def running(self) -> list[Program]:
        """The copies that run."""
        return [program for program in self.programs.values() if program.is_running]

    def kill(self, copy: str, data: Mapping[str, Any]) -> None:
        """Kill a copy with all its processes, and see that it is gone for the broker too."""
        escaped = self.programs[copy].kill(data)
        self._note_escaped(copy, escaped)
        with suppress(WaitedTooLong):
            wait_until(lambda: not self.is_connected(copy), GONE_S, interval_s=POLL_S)
            return
        # A process that nobody could find holds its connections. It must not go on working.
        self.note("escaped", copy=copy, pids=[])
        self.cut_off(copy)

    def _note_escaped(self, copy: str, pids: Sequence[int]) -> None:
        if pids:
            self.note("escaped", copy=copy, pids=list(pids))

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
        connected = any(self.is_connected(program.copy) for program in self.running())
        return quiet_s if connected else max(quiet_s, away_s)

    def _too_long(self, waited_s: float, quiet_s: float) -> str:
        if self.works_unseen():
            return ""
        work_s = self.longest_work_s()
        if self._patience.quiet_s(self.running()) > quiet_s + work_s:
            return "quiet"
        if waited_s > CAP_S or self._patience.stalled_s() > max(STALLED_S, quiet_s) + work_s:
            return "too-long"
        return ""

    def works_unseen(self) -> bool:
        """Whether a copy may be at work on something that the broker does not count as its own."""
        return False
