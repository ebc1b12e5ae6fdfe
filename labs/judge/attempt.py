"""A learner's attempt: judge the program, remember that it was tried, find the first hint.

The terminal and the notebook both come through here, so that an attempt is the same
in either. The seed of an attempt has the learner's name in it and is new each time;
given again, it repeats the bodies, their order and the places of the faults.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labs.broker.state import FoundBroker
from labs.journal import Event
from labs.judge import engine
from labs.judge.catalogue import Exercise, exercise
from labs.judge.progress import Progress, Standing
from labs.judge.report import Hint, standard_error
from labs.judge.verdicts import Outcome, Report

NO_PIKA = ("No module named 'pika'", "needs the package pika")
WRONG_PYTHON = (
    "The Python that ran is not the lab's, and has no pika. Type `source .venv/bin/activate` in "
    "the lab's folder, or name .venv/bin/python in the command."
)


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt."""

    report: Report
    journals: tuple[Sequence[Event], ...]
    """One a trial."""
    standing: Standing
    """How the learner stands in the exercise after it."""
    hint: Hint | None
    """The first hint, where the program broke a promise."""

    def evidence(self) -> tuple[Sequence[Event], Sequence[int], str | None] | None:
        """What the first broken promise is shown by: journal, events in it, the message."""
        broken = self.report.first_broken
        if broken is None or broken.evidence is None:
            return None
        for events in self.journals:
            if events and events[0].data.get("trial") == broken.trial:
                return events, broken.evidence.events, broken.evidence.body
        return None


def new_seed(learner: str) -> str:
    """A seed that nobody has had before."""
    return f"{learner}-{secrets.token_hex(4)}"


def attempt(
    slug: str,
    command: Sequence[str],
    *,
    broker: FoundBroker | None,
    progress: Progress,
    seed: str | None = None,
    tell: Callable[[str], None] | None = None,
    cwd: Path | None = None,
) -> Attempt:
    """Judge `command` in the exercise `slug` and count it as an attempt.

    Args:
        broker: where the trials run; None where they need none (`engine.check`).
        progress: whose attempt it is, and the file that remembers.
        seed: repeats an attempt that had this seed.
        tell: told, in words, what is being done.
        cwd: where the program is started; default: here.

    Raises:
        BadInput: there is no such exercise.
        BrokerUnreachable, ManagementFailed: the broker does not answer.
    """
    about = exercise(slug)
    run = engine.check(
        slug,
        command,
        broker=broker,
        seed=seed or new_seed(progress.learner),
        progress=tell,
        cwd=cwd,
    )
    standing = progress.record(run.report)
    return Attempt(run.report, tuple(run.journals), standing, first_hint(about, run, standing))


def first_hint(about: Exercise, run: engine.Run, standing: Standing) -> Hint | None:
    """The hint that comes with an attempt that broke a promise.

    Who has not got as far as the exercise's question is told how to get there
    (`Exercise.contract_ladder`).
    """
    if run.report.outcome is not Outcome.BROKEN:
        return None
    ladder = about.hints(standing.misconception, standing.broken)
    said = "\n".join(standard_error(run.journals))
    lacks_pika = any(sign in said for sign in NO_PIKA)
    return Hint(1, len(ladder), WRONG_PYTHON if lacks_pika else ladder[0])
