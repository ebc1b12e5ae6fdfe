"""The programs that the judge is judged by: learners' programs, some right and some wrong.

Each is a file by itself in the folder of its exercise, as a learner would write it.
`right_*` keeps all promises. `wrong_NN_*` breaks one; its first line is a comment
that says which belief it shows (`misconception: 3`, a number of MISCONCEPTIONS in
`labs.judge.misconceptions`), or `misconception: none` where it is wrong without one:
it guesses, ends early, hangs. The lab's own qprocessor.py is judged as well.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labs.judge.verdicts import Outcome, Report
from tests.node import node, node_modules

FOLDER = Path(__file__).parent
QPROCESSOR = FOLDER.parent.parent / "qprocessor.py"
NODE_LOCK = FOLDER.parent / "proxy"
"""Where package-lock.json is, for the programs in JavaScript."""

FIRST_LINE = re.compile(r"(?:#|//) misconception: (none|\d+)\n")


@dataclass(frozen=True)
class Sample:
    """One program, and what the judge is to say of it."""

    exercise: str
    path: Path
    is_right: bool
    misconception: int | None = None
    """The belief that a wrong one shows; None: none."""
    flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Such as `poison/wrong_28_requeues.py`."""
        return "/".join([self.exercise, " ".join([self.path.name, *self.flags])])

    @property
    def needs_node(self) -> bool:
        """Whether it is in JavaScript."""
        return self.path.suffix == ".js"

    def command(self) -> tuple[str, ...]:
        """The command that starts it."""
        if self.needs_node:
            modules = node_modules(NODE_LOCK)
            return ("env", f"NODE_PATH={modules}", node(), str(self.path))
        return (sys.executable, str(self.path), *self.flags)

    def is_caught(self, report: Report) -> bool:
        """Whether the judge saw a promise broken."""
        return report.outcome is Outcome.BROKEN

    def is_named(self, report: Report) -> bool:
        """Whether it was caught, and the right belief was told (or none, where there is none)."""
        return self.is_caught(report) and report.misconception == self.misconception


def samples() -> tuple[Sample, ...]:
    """All of them, in the order of their names.

    Raises:
        ValueError: a wrong program's first line says nothing of a misconception, or another
            than its name.
    """
    return tuple(sorted([*_files(), *_the_labs_own()], key=lambda sample: sample.name))


def _files() -> Iterator[Sample]:
    for path in FOLDER.glob("*/*_*.*"):
        if path.suffix not in (".py", ".js"):
            continue
        exercise = path.parent.name
        if path.name.startswith("right_"):
            yield Sample(exercise, path, is_right=True)
            continue
        named = FIRST_LINE.match(path.read_text(encoding="utf-8"))
        if named is None:
            raise ValueError(f"{path}: its first line is to be `# misconception: …`")
        number = None if named[1] == "none" else int(named[1])
        if not path.name.startswith(f"wrong_{number or 0:02}_"):
            raise ValueError(f"{path}: its name and its first line say different things")
        yield Sample(exercise, path, is_right=False, misconception=number)


def _the_labs_own() -> Iterator[Sample]:
    """What the notebooks teach with this file is judged too."""
    yield Sample("acknowledgements", QPROCESSOR, is_right=True, flags=("--acknowledge",))
    yield Sample("acknowledgements", QPROCESSOR, is_right=False, misconception=1)
