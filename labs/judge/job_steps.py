"""The steps of a trial with jobs, as frozen values: see others go on, make ready, publish again.

The rest (`Start`, `Ready`, `Publish`, and what is done to copies) is as for any worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labs.judge.copies import QUIET_S
from labs.judge.job_trial import JobTrial
from labs.judge.rules.handling import renamed
from labs.judge.steps import LOOK_S, PAUSE_S, SETTLES_S, every, lately

MOST_LOOKS = 25
"""Whoever looks so often at what is not ready has shown what there is to see."""

WATCHED_S = 1.0
"""So long what is not ready is watched when all else is done: whether it goes round and round."""
MOST_RENAMED = 3


@dataclass(frozen=True)
class OthersDone:
    """Wait until all is done, or laid aside, that can be done while the rest is not ready."""

    def run(self, trial: JobTrial) -> None:
        """Wait; a hot loop is not watched for long."""
        others = [body for body in trial.given if body not in trial.unready]

        def looping() -> bool:
            seen = trial.history.messages
            return any(len(seen[body].deliveries) > MOST_LOOKS for body in trial.unready)

        over = _done_and_aside(trial, others)
        trial.wait("done", lambda: over() or looping(), quiet_s=QUIET_S)
        trial.pause(WATCHED_S)
        if looping() or _astray(trial):
            trial.give_up("done", "too-long")


@dataclass(frozen=True)
class MakeReady:
    """Say of all jobs that they are ready."""

    def run(self, trial: JobTrial) -> None:
        """Say it."""
        trial.make_ready()


@dataclass(frozen=True)
class PublishAgain:
    """Publish some jobs a second time, with the same ids: those that have been done the longest."""

    count: int

    def run(self, trial: JobTrial) -> None:
        """Publish them; where too few are done, as many as there are."""
        done = [said.text for said in trial.history.lines if said.is_borne_out]
        trial.publish_bodies(list(dict.fromkeys(done))[: self.count], again=True)


@dataclass(frozen=True)
class JobsDone:
    """Wait until all is done, or laid aside, and then settled; jobs may wait in delay queues."""

    def run(self, trial: JobTrial) -> None:
        """Wait for the one and then for the other."""
        paused = lately(LOOK_S, trial.queues.hold_back)
        over = _done_and_aside(trial, trial.given)
        trial.wait("done", over, quiet_s=lambda: PAUSE_S if paused() else QUIET_S)
        # What is unacknowledged the wire tells: of a quorum queue the broker knows it 5 s late.
        empty = every(LOOK_S, lambda: trial.queues.ready(trial.queues.name) == 0)
        unsettled = trial.history.unacknowledged
        trial.wait("settled", lambda: not unsettled() and empty(), quiet_s=SETTLES_S)


def _astray(trial: JobTrial) -> bool:
    """Whether jobs go round under other ids: they will never be those that were asked for."""
    return len(renamed(trial.history)) > MOST_RENAMED


def _done_and_aside(trial: JobTrial, bodies: Sequence[str]) -> Callable[[], bool]:
    bad = {body for body in bodies if body.startswith("bad")}
    good = [body for body in bodies if body not in bad]
    aside = every(LOOK_S, lambda: trial.queues.ready(trial.queues.failed) >= len(bad))
    return lambda: trial.history.all_done(good) and (not bad or aside())
