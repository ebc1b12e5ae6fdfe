"""The steps of a trial on a log, as frozen values: append, see that all take part, kill, wait.

A log keeps what is appended, so that requests may be there before the first copy is.
Who has joined the group nobody tells: the lines that a copy prints show that it has a
part. `Start` is in `labs.judge.steps`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from labs.judge.history import History
from labs.judge.lives import Message, Said
from labs.judge.log_trial import SESSION_S, LogTrial
from labs.judge.plan import GaveUp
from labs.judge.steps import START_S

QUIET_S = 8.0
"""The patience with a group in which nothing happens: a dead member is given up meanwhile."""
COMMITS_S = 6.5
"""What is done is committed by then: clients that do so by the clock do it every 5 s."""
PACE_S = 1.5
"""So long nothing may happen before more requests are appended, to see who does those."""
INTO_WORK_S = 0.1
"""So soon after its beginning work is struck."""


@dataclass(frozen=True)
class Append:
    """Append a wave to the topic."""

    wave: int

    def run(self, trial: LogTrial) -> None:
        """Append it."""
        trial.append(self.wave)


@dataclass(frozen=True)
class EachTakesPart:
    """Append one small wave after the other until every copy has done something."""

    waves: tuple[int, ...]

    def run(self, trial: LogTrial) -> None:
        """Wait for the first line for as long as a program takes to start, then for each copy."""
        with suppress(GaveUp):
            trial.wait("taking-part", lambda: trial.history.lines, quiet_s=QUIET_S, away_s=START_S)
        if trial.gave_up and not any(map(trial.is_connected, trial.programs)):
            _note_never_connected(trial)
            raise GaveUp
        for wave in self.waves:
            if self._each_did(trial):
                return
            trial.append(wave)
            trial.wait("taking-part", lambda: self._each_did(trial) or self._idle(trial))
        _note_never_connected(trial)

    def _begun(self, trial: LogTrial) -> bool:
        return self._each_did(trial) or (bool(trial.history.lines) and self._idle(trial))

    def _idle(self, trial: LogTrial) -> bool:
        """Whether more is needed to see who takes part: all is done, or nothing happens."""
        return trial.all_done() or trial.quiet_s() > PACE_S

    def _each_did(self, trial: LogTrial) -> bool:
        return all(_has_done(trial.history, copy) for copy in trial.plan.copies)


@dataclass(frozen=True)
class KillAtRequest:
    """Kill a copy in the middle of a request's work."""

    copy: str

    def run(self, trial: LogTrial) -> None:
        """Kill it where it is at work; else leave a note."""
        process = trial.history.process(self.copy)
        try:
            while True:
                trial.wait(
                    "in-work", lambda: self._at_work(trial), quiet_s=QUIET_S, copies=[self.copy]
                )
                said = len(trial.history.lines)
                trial.programs[self.copy].pause()
                trial.catch_up()
                if len([s for s in trial.history.lines[said:] if s.process is process]) == 0:
                    break
                trial.programs[self.copy].resume()
        except GaveUp:
            why = "the copy was never seen in the middle of a request's work"
            if not trial.programs[self.copy].is_running:
                why = "the copy had ended by itself"
            by_chance = trial.programs[self.copy].is_running
            trial.note("fault-missed", fault="kill", why=why, by_chance=by_chance)
            if not trial.running():
                raise
            return
        trial.kill(self.copy, {"in_hand": [m.body for m in self._next(trial)][:1]})

    def _at_work(self, trial: LogTrial) -> bool:
        mine = _lines_of(trial.history, self.copy)
        into_s = trial.now_s() - mine[-1].event.at_s if mine else 0.0
        return into_s > INTO_WORK_S and bool(self._next(trial))

    def _next(self, trial: LogTrial) -> list[Message]:
        """What is not done yet in the partition that it was last at work in."""
        last = next((said.message for said in reversed(_lines_of(trial.history, self.copy))), None)
        if last is None or last.place is None:
            return []
        return [
            message
            for message in trial.history.messages.values()
            if message.place
            and message.place.partition == last.place.partition
            and message.first_done is None
            and not message.body.startswith("bad")
        ]


@dataclass(frozen=True)
class AllDone:
    """Wait until every request is done, or laid aside; then until all is committed."""

    committed: bool = False

    def run(self, trial: LogTrial) -> None:
        """Wait for the one and then for the other."""
        trial.wait("done", trial.all_done, quiet_s=QUIET_S + SESSION_S)
        if self.committed:
            trial.wait("committed", trial.all_committed, quiet_s=COMMITS_S)


def _lines_of(history: History, copy: str) -> list[Said]:
    """The lines of the copy's latest process that tell of a request."""
    process = history.process(copy)
    return [said for said in history.lines if said.process is process and said.is_borne_out]


def _has_done(history: History, copy: str) -> bool:
    return any(said.copy == copy and said.is_borne_out for said in history.lines)


def _note_never_connected(trial: LogTrial) -> None:
    """Note each copy that has never done anything and is not connected to the log."""
    for copy, program in trial.programs.items():
        idle = program.is_running and not _has_done(trial.history, copy)
        if idle and not trial.is_connected(copy):
            trial.note("never-connected", copy=copy, elsewhere=program.peers())
