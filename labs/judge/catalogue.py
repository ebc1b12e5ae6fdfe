"""The exercises, as a learner meets them: briefs, starters, solutions and hints, read from files.

Each is a folder in `labs/exercises`: `exercise.toml` (title, summary, hints),
`brief.md`, `starter.py`, `solution.py` and `solution.md`. What goes wrong while a
program runs is not here but in `labs.judge.scenarios`, and what is judged in
`labs.judge.promises`. A ladder of hints has four levels: a question, where to look in
this run, the API to read, and the shape of the change. There is one for each
belief, one for when the belief cannot be told, and, in `contract.toml`, one for a
program that has not got as far as the exercise's own question.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from labs.errors import BadInput
from labs.judge.misconceptions import MISCONCEPTIONS

FOLDER = Path(__file__).parent.parent / "exercises"

SLUGS = (
    "hello-producer",
    "hello-consumer",
    "work-queue",
    "acknowledgements",
    "durability",
    "fair-dispatch",
    "confirms",
    "reconnect",
    "heartbeats",
    "poison",
    "idempotence",
    "job-handler",
    "request-handler",
    "claim-once",
    "lease",
    "idempotent-start",
)
"""The names of all exercises, in the order in which they build on each other."""

PROGRAMS = ("worker", "producer", "handler", "consumer", "claimer", "client")
"""The kinds of programs: of a queue's messages, of lines, of jobs, of a log's requests, of the
tasks in a table; of a queue service."""

CONTRACT = "contract"
"""The id of the promise that is the program contract itself: to start, to connect, to stay."""

LEVELS = ("question", "evidence", "api", "shape")
"""What the levels of a ladder are called in exercise.toml, from the first."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: what a learner reads, copies and is told."""

    slug: str
    title: str
    program: str
    """One of PROGRAMS."""
    copies: int
    """How many copies of the program run side by side."""
    summary: str
    """What it is about, in one line."""
    shows: int
    """The belief (`labs.judge.misconceptions`) that the starter shows."""
    folder: Path
    ladders: Mapping[int | None, tuple[str, ...]]
    """Hints of its own by belief; None: where no belief can be told."""

    @property
    def brief(self) -> str:
        """The page that a learner reads first (Markdown)."""
        return self._read("brief.md")

    @property
    def starter(self) -> str:
        """The program that a learner changes: it runs, and breaks a promise."""
        return self._read("starter.py")

    @property
    def solution(self) -> str:
        """A program that keeps all promises."""
        return self._read("solution.py")

    @property
    def explanation(self) -> str:
        """Why the solution works, and two other right designs (Markdown)."""
        return self._read("solution.md")

    @property
    def learners_file(self) -> str:
        """What the starter is called in a learner's folder: `fair_dispatch.py`."""
        return f"{self.slug.replace('-', '_')}.py"

    @property
    def contract_ladder(self) -> tuple[str, ...]:
        """The four hints for a program that does not get far enough to show a belief."""
        return _ladder(_read_toml(FOLDER / "contract.toml")[self.program])

    def hints(
        self, misconception: int | None, broken_promise: str | None = None
    ) -> tuple[str, ...]:
        """The four hints for a learner with this belief, the first level first.

        Args:
            misconception: the belief that the last attempt showed; None: none can be told.
            broken_promise: the id of the first promise that it broke.
        """
        general = self.ladders[None]
        if misconception is None or misconception not in MISCONCEPTIONS:
            return self.contract_ladder if broken_promise == CONTRACT else general
        if misconception in self.ladders:
            return self.ladders[misconception]
        belief = MISCONCEPTIONS[misconception]
        return belief.question, general[1], belief.api, belief.shape

    def _read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")


def exercise(slug: str) -> Exercise:
    """The exercise of this name.

    Raises:
        BadInput: there is none; with the names that are near.
    """
    if slug not in SLUGS:
        near = difflib.get_close_matches(slug, SLUGS, n=2, cutoff=0.5)
        remedy = f"Did you mean {' or '.join(near)}? " if near else ""
        raise BadInput(
            f"There is no exercise {slug!r}.", remedy=f"{remedy}`labs exercises` lists them all."
        )
    return read_exercise(FOLDER / slug)


def exercises() -> tuple[Exercise, ...]:
    """All exercises, in order."""
    return tuple(map(exercise, SLUGS))


def read_exercise(folder: Path) -> Exercise:
    """The exercise in this folder.

    Raises:
        OSError, ValueError, KeyError: its exercise.toml is missing, is no TOML, or lacks a value.
    """
    told = _read_toml(folder / "exercise.toml")
    ladders: dict[int | None, tuple[str, ...]] = {None: _ladder(told["hints"])}
    for number, hints in told.get("misconceptions", {}).items():
        ladders[int(number)] = _ladder(hints)
    return Exercise(
        slug=folder.name,
        title=told["title"],
        program=told["program"],
        copies=told["copies"],
        summary=told["summary"],
        shows=told["shows"],
        folder=folder,
        ladders=MappingProxyType(ladders),
    )


def _read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _ladder(hints: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(" ".join(str(hints[level]).split()) for level in LEVELS)
