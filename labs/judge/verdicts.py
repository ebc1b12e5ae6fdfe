"""What the judge says in the end, as values: a verdict a promise, a report an exercise.

Three outcomes: *kept*, *broken*, and *unknown*, where the fault could not be shown
to have struck while a message was in flight, or the broker or the kit failed: that
is never the learner's fault. The exit code of a report is 0 when every promise was
kept, 1 when one was broken, 2 when none was broken and one is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Whether a promise was kept."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"


EXIT_CODES = {Outcome.KEPT: 0, Outcome.BROKEN: 1, Outcome.UNKNOWN: 2}


@dataclass(frozen=True)
class Evidence:
    """The smallest part of a run that shows it: one message's life."""

    body: str | None
    """The message; None when it is about the whole program (it ended, it never connected)."""
    events: tuple[int, ...]
    """The events of the journal (`Event.n`) that show it, in order."""
    lines: tuple[str, ...]
    """The same in words, one line an event, each beginning with its time: `1.042 s  A …`."""


@dataclass(frozen=True)
class Verdict:
    """What became of one promise in one trial."""

    promise: str
    """The promise's id, such as `done-before-settled`."""
    promised: str
    """The promise as a sentence: *Every message is done.*"""
    outcome: Outcome
    trial: str
    seen: str = ""
    """What was seen, in a sentence; for unknown, why it cannot be said."""
    evidence: Evidence | None = None


@dataclass(frozen=True)
class Report:
    """All verdicts on one program in one exercise."""

    exercise: str
    seed: str
    verdicts: tuple[Verdict, ...]
    misconception: int | None = None
    """The number, in `labs.judge.misconceptions`, of the belief that the run shows; None: none, or
    it cannot be told."""
    took_s: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """Broken if one is, else unknown if one is unknown (or none was judged), else kept."""
        outcomes = {verdict.outcome for verdict in self.verdicts}
        if Outcome.BROKEN in outcomes:
            return Outcome.BROKEN
        return Outcome.KEPT if outcomes == {Outcome.KEPT} else Outcome.UNKNOWN

    @property
    def exit_code(self) -> int:
        """0, 1 or 2."""
        return EXIT_CODES[self.outcome]

    @property
    def first_broken(self) -> Verdict | None:
        """The first promise that was broken: what a learner is shown."""
        return next((v for v in self.verdicts if v.outcome is Outcome.BROKEN), None)
