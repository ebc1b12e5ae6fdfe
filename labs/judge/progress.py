"""What a learner has tried and passed: one small file, `progress.json` in the kit's folder.

A report comes in through `Progress.record`, and each learner's standing in each
exercise can be read back. Two rules hold here: the nth hint opens only after
another attempt since the one before (the first comes with the attempt itself), and
the solution opens after a pass. The file is written whole, under a lock, so that
two checks side by side lose no attempt; one that is damaged is set aside and said.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from labs.broker.files import write_private
from labs.broker.state import labs_home
from labs.errors import BadInput, NotOpenYet
from labs.judge.verdicts import Outcome, Report

HINTS = 4
VERSION = 1


def learner_name(given: str | None = None) -> str:
    """Whose progress it is: the given name, else the environment's LABS_NAME, else the login."""
    name = " ".join((given or os.environ.get("LABS_NAME") or "").split())
    if name:
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in a container
        return "learner"


@dataclass(frozen=True)
class Standing:
    """How one learner stands in one exercise."""

    attempts: int = 0
    passes: int = 0
    hints: tuple[int, ...] = ()
    """For each hint that is open, from the first level: after which attempt it was opened."""
    outcome: Outcome | None = None
    """Of the last attempt."""
    misconception: int | None = None
    """The belief that the last attempt showed."""
    broken: str | None = None
    """The id of the first promise that it broke."""
    misconceptions: tuple[int, ...] = ()
    """All beliefs seen so far, in the order of their first time."""
    seen: tuple[str, ...] = ()
    """What the last attempt broke: what was seen, and one message's life, in lines."""

    @property
    def passed(self) -> bool:
        """Whether it was passed at least once."""
        return self.passes > 0

    @property
    def next_hint_is_open(self) -> bool:
        """Whether another attempt was made since the last hint, and there is one left."""
        return len(self.hints) < HINTS and self.attempts > (self.hints[-1] if self.hints else 0)

    def after(self, report: Report) -> Self:
        """The standing after one more attempt. One that broke a promise opens the first hint."""
        broken = report.first_broken
        evidence = broken.evidence.lines if broken and broken.evidence else ()
        found = report.misconception
        known = self.misconceptions
        standing = replace(
            self,
            attempts=self.attempts + 1,
            passes=self.passes + (report.outcome is Outcome.KEPT),
            outcome=report.outcome,
            misconception=found,
            broken=broken.promise if broken else None,
            misconceptions=known if found is None or found in known else (*known, found),
            seen=(broken.seen, *evidence) if broken else (),
        )
        return standing.with_next_hint() if broken and not self.hints else standing

    def with_next_hint(self) -> Self:
        """The standing with one more hint opened."""
        return replace(self, hints=(*self.hints, self.attempts))


@dataclass(frozen=True)
class Progress:
    """The file that remembers; `tell` is told, in a sentence, when it was damaged."""

    learner: str
    path: Path = field(default_factory=lambda: labs_home() / "progress.json")
    tell: Callable[[str], None] = lambda _sentence: None

    def standings(self) -> Mapping[str, Standing]:
        """How the learner stands in each exercise that was tried."""
        with self._locked():
            learners = self._read()
        return {
            slug: _standing(learners, self.learner, slug) for slug in learners.get(self.learner, {})
        }

    def standing(self, slug: str) -> Standing:
        """How the learner stands in this exercise; all zero before the first attempt."""
        return self.standings().get(slug, Standing())

    def record(self, report: Report) -> Standing:
        """Count one more attempt; returns how the learner stands after it."""
        return self._update(report.exercise, lambda standing: standing.after(report))

    def open_hint(self, slug: str) -> Standing:
        """Open the next hint if an attempt was made since the last one.

        Raises:
            NotOpenYet: the exercise has not been tried at all.
        """

        def opened(standing: Standing) -> Standing:
            if not standing.attempts:
                raise NotOpenYet(
                    f"The first hint for {slug} comes with your first attempt.",
                    remedy=f"Begin with `labs start {slug}`, and check what you have written "
                    f"with `labs check {slug} -- YOUR COMMAND`.",
                )
            return standing.with_next_hint() if standing.next_hint_is_open else standing

        return self._update(slug, opened)

    def require_pass(self, slug: str) -> None:
        """Let through whoever has passed this exercise.

        Raises:
            NotOpenYet: it has not been passed.
        """
        if not self.standing(slug).passed:
            raise NotOpenYet(
                f"The solution of {slug} opens when you have passed it.",
                remedy=f"`labs check {slug} -- YOUR COMMAND` tries your program; "
                f"`labs hint {slug}` helps.",
            )

    def _update(self, slug: str, change: Callable[[Standing], Standing]) -> Standing:
        with self._locked():
            learners = self._read()
            standing = change(_standing(learners, self.learner, slug))
            learners.setdefault(self.learner, {})[slug] = asdict(standing)
            value = {"version": VERSION, "learners": learners}
            write_private(self.path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
        return standing

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f"{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> dict[str, dict[str, Any]]:
        """What the file says of all learners; nothing where it is missing or damaged."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            value = json.loads(text)
            learners: dict[str, dict[str, Any]] = value["learners"]
            if value["version"] > VERSION:
                raise BadInput(
                    f"{self.path} was written by a newer version of the kit.",
                    remedy="Update the kit, or set LABS_HOME to another folder.",
                )
            for name, slugs in learners.items():
                for slug in slugs:
                    _standing(learners, name, slug)
        except (ValueError, KeyError, TypeError, AttributeError):
            aside = self._set_aside()
            self.tell(
                f"{self.path} was damaged and could not be read: it is kept as {aside.name}, "
                "and counting begins anew."
            )
            return {}
        return learners

    def _set_aside(self) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.damaged-{number}")).exists():
            number += 1
        return self.path.rename(aside)


def _standing(learners: Mapping[str, Mapping[str, Any]], learner: str, slug: str) -> Standing:
    """What is written of one learner in one exercise.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is no standing.
    """
    told = learners.get(learner, {}).get(slug)
    if told is None:
        return Standing()
    standing = Standing(**told)
    counts = (standing.attempts, standing.passes, *standing.hints, *standing.misconceptions)
    if not all(isinstance(count, int) for count in counts):
        raise TypeError("a count is no number")
    return replace(
        standing,
        hints=tuple(standing.hints),
        outcome=Outcome(standing.outcome) if standing.outcome else None,
        misconceptions=tuple(standing.misconceptions),
        seen=tuple(map(str, standing.seen)),
    )
