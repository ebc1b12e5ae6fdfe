"""`check`: a learner's program judged from a notebook, as `labs check` does in a terminal.

    check("acknowledgements", "python my_worker.py")

The same attempt is made (`labs.judge.attempt`: it counts, and opens hints), and its
result is shown as a page: the promises, the first broken one with its evidence and
picture, the belief that leads there, the first hint. Meanwhile the cell says what is
being done. A report goes in, HTML and the same in words come out.
"""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from labs.broker.locate import locate
from labs.errors import BadInput
from labs.judge.attempt import Attempt, attempt
from labs.judge.catalogue import exercise as the_exercise
from labs.judge.progress import Progress, learner_name
from labs.judge.report import belief, broken_lines, in_words, promise_lines, standard_error, summary
from labs.judge.scenarios import needs_rabbitmq
from labs.judge.verdicts import Outcome, Report
from labs.notebook import failures
from labs.notebook.display import Live, Piece, progress_bar
from labs.pictures.picture import Picture
from labs.pictures.run import draw_run

MARKS = {Outcome.KEPT: "✓", Outcome.BROKEN: "✗", Outcome.UNKNOWN: "?"}
COLOURS = {Outcome.KEPT: "#3f8f4f", Outcome.BROKEN: "#cc4f45", Outcome.UNKNOWN: "#b9651b"}
PYTHONS = ("python", "python3")


def check(
    exercise: str,
    command: str | Sequence[str],
    *,
    name: str | None = None,
    seed: str | None = None,
    folder: str | Path | None = None,
) -> Checked:
    """Judge a program: run it under faults on the real broker, and say which promises it keeps.

    Args:
        exercise: the exercise's name, such as "acknowledgements"; `labs exercises` lists them.
        command: what one would type to start the program; `python` is the notebook's own.
        name: whose attempt it is; else LABS_NAME in the environment, or the login.
        seed: repeats the run that had this seed.
        folder: where the program is started; default: the notebook's folder.

    Raises:
        BadInput: there is no such exercise, or no command.
        BrokerMissing, BrokerUnreachable: there is no broker to run it on.
    """
    failures.install()
    the_exercise(exercise)
    words = _words(exercise, command)
    live = Live()

    def tell(sentence: str) -> None:
        live.show(progress_bar(f"{exercise}: {sentence}", None, None))

    tell("looking for the broker")
    keeper = Progress(learner_name(name), tell=tell)
    try:
        made = attempt(
            exercise,
            words,
            broker=locate(progress=tell) if needs_rabbitmq(exercise) else None,
            progress=keeper,
            seed=seed,
            tell=tell,
            cwd=Path(folder) if folder else None,
        )
    except BaseException:
        live.show(Piece(f"<div>{escape(exercise)}: not judged.</div>", "Not judged."), now=True)
        raise
    took = f"{exercise}: judged in {made.report.took_s:.1f} s."
    live.show(Piece(f"<div>{escape(took)}</div>", took), now=True)
    return Checked(made)


@dataclass(frozen=True)
class Checked:
    """What came of a check, as a page shows it; `report` has all verdicts."""

    made: Attempt

    @property
    def report(self) -> Report:
        """All verdicts."""
        return self.made.report

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return self.report.outcome is Outcome.KEPT

    @property
    def picture(self) -> Picture | None:
        """What went over the wire where the first broken promise broke; None if none is."""
        shown = self.made.evidence()
        if shown is None:
            return None
        events, only, body = shown
        return draw_run(events, only=only or None, highlight=body)

    def whole(self, trial: str | None = None, *, message: str | None = None) -> Picture:
        """All that went over the wire in one trial (default: the first); `message`: marked.

        Raises:
            BadInput: there is no such trial.
        """
        trials = {str(events[0].data.get("trial")): events for events in self.made.journals}
        name = trial or next(iter(trials), "")
        if name not in trials:
            raise BadInput(
                f"There is no trial {name!r}.", remedy=f"There is {', '.join(trials) or 'none'}."
            )
        return draw_run(trials[name], highlight=message)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self._html(), "text/plain": str(self)}

    def __str__(self) -> str:
        drawn = self.picture
        words = in_words(
            self.report,
            hint=self.made.hint,
            diagram=drawn.text if drawn else "",
            stderr=standard_error(self.made.journals),
        )
        return f"{words}\n\n{self._next()}"

    def __repr__(self) -> str:
        return str(self)

    def _html(self) -> str:
        report = self.report
        parts = [f"<p><b>{escape(report.exercise)}</b>: {escape(summary(report))}</p>"]
        parts.append(_promises(report))
        if report.first_broken:
            promised, seen, *lines = broken_lines(report.first_broken)
            parts.append(f"<p>{_named(promised)}<br/>{_named(seen)}</p>")
            parts.append(_quoted(lines) if lines else "")
            if drawn := self.picture:
                parts.append(f"<div>{drawn.svg}</div>")
            if stderr := standard_error(self.made.journals):
                parts.append(f"<p>{escape(stderr[0])}</p>{_quoted(stderr[1:])}")
        if said := belief(report):
            parts.append(f"<p>A belief that leads here: <b>{escape(said)}</b></p>")
        if hint := self.made.hint:
            parts.append(
                f'<p style="border-left:4px solid #2f7fc1;padding-left:8px">'
                f"<b>Hint {hint.level} of {hint.of}:</b> {escape(hint.text)}</p>"
            )
        parts.append(f'<p style="opacity:.8">{escape(self._next())}</p>')
        return "".join(parts)

    def _next(self) -> str:
        """What one does after this."""
        slug, seed = self.report.exercise, self.report.seed
        if self.passed:
            return f"In a terminal, `labs solution {slug}` shows other ways to do it."
        more = f"More help, after another attempt: `labs hint {slug}` in a terminal."
        return f'{more} To repeat just this run: seed="{seed}".'


def _words(exercise: str, command: str | Sequence[str]) -> list[str]:
    """The command's words, as a shell would see them."""
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise BadInput(f"{command!r} is no command: {error}.", remedy="Close the quote.") from None
    if not words:
        raise BadInput(
            "Which program? The command that starts it is missing.",
            remedy=f'Write it behind the name: check("{exercise}", "python my_program.py")',
        )
    return [sys.executable, *words[1:]] if words[0] in PYTHONS else words


def _promises(report: Report) -> str:
    rows = "".join(
        f'<li style="list-style:none"><b style="color:{COLOURS[outcome]}">{MARKS[outcome]} '
        f"{outcome}</b> {escape(sentence)}</li>"
        for outcome, sentence in promise_lines(report)
    )
    return f'<ul style="padding-left:1em">{rows}</ul>'


def _named(line: str) -> str:
    """`Promised: …` with its first word in bold."""
    name, _, rest = line.partition(":")
    return f"<b>{escape(name)}:</b> {escape(rest.strip())}"


def _quoted(lines: Sequence[str]) -> str:
    text = textwrap.dedent("\n".join(lines))
    return (
        '<pre style="padding:4px 8px;border-left:4px solid #7a7f87;white-space:pre-wrap;'
        f'overflow-wrap:anywhere">{escape(text)}</pre>'
    )
