"""The steps of a trial that make nothing go wrong, as frozen values: start, publish, feed, wait.

Each has one method, `run`. What they wait for may not come: then the trial has noted
why, and either ends there or goes on, as each says. The faults are in `strikes`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from labs.judge.copies import QUIET_S, Copies
from labs.judge.plan import GaveUp
from labs.judge.trial import Trial

START_S = RECONNECT_S = 30.0
"""So long a program may take to be at work, or at work again."""
HUNG_S = 6.0
"""A program that is connected and does nothing at all for so long will not consume any more."""
SETTLES_S = 2.0
"""What is done is settled at once; so long may it take."""
LOOK_S = 0.2
LOOP_S = 2.5
"""So long a loop of redeliveries is watched: whether others are held up by it."""
PAUSE_S = 20.0
"""The patience while messages wait in a queue of the program's before they are tried again."""


@dataclass(frozen=True)
class Start:
    """Start copies; none named: all of the trial."""

    copies: tuple[str, ...] = ()

    def run(self, trial: Copies) -> None:
        """Start each that does not run: where a kill missed its aim, the copy is still there."""
        for copy in self.copies or trial.plan.copies:
            if copy not in trial.programs or not trial.programs[copy].is_running:
                trial.start(copy)


@dataclass(frozen=True)
class Ready:
    """Wait until every copy that runs consumes the queue, or has polled it."""

    def run(self, trial: Trial) -> None:
        """Wait; a copy that never connected is noted."""
        try:
            trial.wait("ready", lambda: self._ready(trial), quiet_s=START_S)
        finally:
            note_never_connected(trial)

    def _ready(self, trial: Trial) -> bool:
        copies = list(trial.programs)
        if all(trial.history.is_consuming(copy) for copy in copies):
            return True
        if not all(trial.programs[copy].is_running for copy in copies):
            trial.give_up("ready", "all-ended" if not trial.running() else "one-ended")
        connected = all(trial.open_connections(copy) for copy in copies)
        if connected and trial.quiet_s() > HUNG_S:
            trial.give_up("ready", "quiet")
        return False


@dataclass(frozen=True)
class Publish:
    """Publish a wave to the queue, directly at the broker."""

    wave: int

    def run(self, trial: Trial) -> None:
        """Publish it."""
        trial.publish(self.wave)


@dataclass(frozen=True)
class Done:
    """Wait until all that was published is done and settled, and the queue is empty."""

    settled: bool = True

    def run(self, trial: Trial) -> None:
        """Wait for the one and then for the other."""
        done = trial.history.all_done
        trial.wait("done", lambda: done(trial.given))
        if self.settled:
            empty = every(LOOK_S, trial.queues.is_empty)
            unsettled = trial.history.unacknowledged
            trial.wait("settled", lambda: not unsettled() and empty(), quiet_s=SETTLES_S)


@dataclass(frozen=True)
class DoneAtLength:
    """As Done, for long work: no use in waiting once it came back to the queue."""

    def run(self, trial: Trial) -> None:
        """Wait until all is done, or a message is delivered a second time."""

        def again() -> bool:
            return any(d.redelivered for d in trial.history.deliveries)

        trial.wait("done", lambda: trial.history.all_done(trial.given) or again())
        if not again():
            Done().run(trial)


@dataclass(frozen=True)
class DoneOrFailed:
    """Wait until the good messages are done and the bad ones are in the queue for what failed."""

    most_deliveries: int = 15
    """Whoever delivers a bad one so often has shown what there is to see."""

    def run(self, trial: Trial) -> None:
        """Wait; a loop of redeliveries is watched for a moment only."""
        bad = [body for body in trial.given if body.startswith("bad")]
        good = [body for body in trial.given if body not in bad]
        looping_since: list[float] = []
        settled = every(
            LOOK_S,
            lambda: trial.queues.ready(trial.queues.failed) >= len(bad) and trial.queues.is_empty(),
        )

        def looping() -> bool:
            worst = max((len(trial.history.messages[b].deliveries) for b in bad), default=0)
            if worst > self.most_deliveries and not looping_since:
                looping_since.append(time.monotonic())
            return bool(looping_since) and time.monotonic() - looping_since[0] > LOOP_S

        def over() -> bool:
            if looping():
                return True
            finished = trial.history.all_done(good) and not trial.history.unacknowledged()
            return finished and settled()

        paused = lately(LOOK_S, trial.queues.hold_back)
        trial.wait("done", over, quiet_s=lambda: PAUSE_S if paused() else QUIET_S)
        if looping_since:
            trial.give_up("settled", "too-long")


@dataclass(frozen=True)
class Feed:
    """Write a wave to a producer's standard input, each body a line."""

    wave: int
    crlf_at: int | None = None
    """This line of the wave (from 0) ends in CR LF."""

    def run(self, trial: Trial) -> None:
        """Write the lines."""
        for program in trial.programs.values():
            for number, body in enumerate(trial.bodies[self.wave]):
                program.write_line(body, "\r\n" if number == self.crlf_at else "\n")
                trial.given.append(body)


@dataclass(frozen=True)
class Sent:
    """Wait until the producer has said *sent* of all that it was given."""

    def run(self, trial: Trial) -> None:
        """Wait; whether it came or not, the next lines are for the producer to read."""
        sent = trial.history.all_sent
        away_s = RECONNECT_S if not trial.gave_up else 0.0
        try:
            trial.wait("sent", lambda: sent(trial.given), away_s=away_s)
        except GaveUp:
            note_never_connected(trial)
            if not trial.running():
                raise


@dataclass(frozen=True)
class EndOfInput:
    """End the producer's standard input, wait for its end, and watch for what comes after it."""

    WATCHED_S: ClassVar[float] = 0.3

    def run(self, trial: Trial) -> None:
        """Close it and wait."""
        for program in trial.programs.values():
            program.close_input()
        trial.wait("exit", lambda: not trial.running(), quiet_s=HUNG_S)
        trial.pause(self.WATCHED_S)


def note_never_connected(trial: Trial) -> None:
    """Note each copy that runs and has opened no connection to the broker that it was given."""
    connected = {connection.copy for connection in trial.history.connections}
    for copy, program in trial.programs.items():
        noted = any(n.copy == copy for n in trial.history.noted("never-connected"))
        if copy not in connected and program.is_running and not noted:
            trial.note("never-connected", copy=copy, elsewhere=program.peers())


def every(interval_s: float, look: Callable[[], bool]) -> Callable[[], bool]:
    """Look at most once in so many seconds; in between it is not said to be so."""
    looked: list[float] = [0.0]

    def seen() -> bool:
        if time.monotonic() - looked[0] < interval_s:
            return False
        seen_now = look()
        looked[0] = time.monotonic()
        return seen_now

    return seen


def lately(interval_s: float, look: Callable[[], bool]) -> Callable[[], bool]:
    """What was seen at most so long ago; only then look again."""
    seen: list[tuple[float, bool]] = []

    def known() -> bool:
        if not seen or time.monotonic() - seen[-1][0] > interval_s:
            seen[:] = [(time.monotonic(), look())]
        return seen[-1][1]

    return known
