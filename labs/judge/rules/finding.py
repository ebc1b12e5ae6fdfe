"""What a rule finds in one trial, and the few ways to say it.

A rule is a pure function of a history. It has nothing to say of promises, exercises or
other trials: `labs.judge.promises` puts its finding into a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labs.judge.evidence import quoted
from labs.judge.history import History
from labs.judge.verdicts import Evidence, Outcome


@dataclass(frozen=True)
class Finding:
    """What became of a promise, without the promise's own words."""

    outcome: Outcome
    seen: str = ""
    evidence: Evidence | None = None


Rule = Callable[[History], Finding | None]
"""None: nothing of this trial is about it."""

KEPT = Finding(Outcome.KEPT)


def broken(seen: str, evidence: Evidence) -> Finding:
    """The program broke it."""
    return Finding(Outcome.BROKEN, seen, evidence)


def unknown(why: str) -> Finding:
    """It cannot be said, and that is not the program's fault (or another promise says why)."""
    return Finding(Outcome.UNKNOWN, why)


def first_of(history: History, rules: Sequence[Rule]) -> Finding:
    """The first finding that is not kept, in the order of the rules; kept if there is none."""
    for rule in rules:
        finding = rule(history)
        if finding is not None and finding.outcome is not Outcome.KEPT:
            return finding
    return KEPT


def some(bodies: Sequence[str], noun: str = "message") -> str:
    """How many, and the first by name: `3 messages, such as "x"`."""
    if len(bodies) == 1:
        return f"the {noun} {quoted(bodies[0])}"
    return f"{len(bodies)} {noun}s, such as {quoted(bodies[0])},"
