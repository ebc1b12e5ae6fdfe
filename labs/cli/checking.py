"""What `labs check` and `labs watch` share: an attempt made, told and drawn.

On standard output stands the report and nothing else; what is being done is told on
standard error. The picture of the first broken promise is left in the kit's folder,
`checks/EXERCISE.svg`, and the same conversation is shown as text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from labs.broker.locate import locate
from labs.broker.state import labs_home
from labs.cli.learner import complete_exercise, name_option, progress_of
from labs.cli.output import print_json, progress
from labs.errors import BadInput
from labs.journal import write_journals
from labs.judge import report as reports
from labs.judge.attempt import Attempt, attempt
from labs.judge.catalogue import exercise
from labs.judge.scenarios import needs_rabbitmq
from labs.judge.verdicts import Outcome, Report
from labs.pictures.picture import Picture
from labs.pictures.run import draw_run

COMMAND_LINE = {"ignore_unknown_options": True}
"""`labs check acknowledgements ./worker --flag` means the program's flag, `--` or not."""
STYLES = {Outcome.KEPT: "green", Outcome.BROKEN: "bold red", Outcome.UNKNOWN: "yellow"}

F = TypeVar("F", bound=Callable[..., Any])


def attempt_options(function: F) -> F:
    """The arguments and options of a command that makes an attempt."""
    for decorate in (
        name_option,
        click.option("--seed", metavar="SEED", help="Repeat the attempt that had this seed."),
        click.argument("program", metavar="[--] COMMAND...", nargs=-1, type=click.UNPROCESSED),
        click.argument("exercise", required=False, shell_complete=complete_exercise),
    ):
        function = decorate(function)
    return function


def judged(
    slug: str | None,
    program: Sequence[str],
    *,
    name: str | None,
    seed: str | None = None,
    journal: Path | None = None,
    as_json: bool = False,
    cwd: Path | None = None,
) -> Report:
    """Make an attempt and print its report."""
    if slug is None:
        raise BadInput("Which exercise?", remedy="`labs exercises` lists them.")
    exercise(slug)  # a name that is none is said before anything is started
    _is_a_command(slug, program)
    keeper = progress_of(name)
    with progress() as tell:
        broker = locate(progress=tell) if needs_rabbitmq(slug) else None
        made = attempt(slug, program, broker=broker, progress=keeper, seed=seed, tell=tell, cwd=cwd)
    if journal:
        write_journals(journal, made.journals)
    drawn = _draw(made)
    saved = _save(slug, drawn) if drawn else None
    if as_json:
        told = reports.as_json(
            made.report,
            hint=made.hint,
            picture=str(saved) if saved else None,
            journal=str(journal) if journal else None,
        )
        print_json(told)
    else:
        show(made, drawn.text if drawn else "", saved)
    return made.report


def show(made: Attempt, diagram: str, saved: Path | None) -> None:
    """Print an attempt for a person."""
    from rich.console import Console
    from rich.text import Text

    report = made.report
    console = Console(highlight=False, soft_wrap=True)
    stderr = reports.standard_error(made.journals)
    words = reports.in_words(report, hint=made.hint, diagram=diagram, stderr=stderr)
    for line in words.splitlines():
        text = Text(line)
        for outcome, style in STYLES.items():
            if line.startswith(f"  {outcome}"):
                text.stylize(style, 2, 2 + len(outcome))
        console.print(text)
    console.print()
    if saved:
        console.print(Text(f"The picture: {saved}"))
    if made.hint:
        console.print(Text(f"More help, after another attempt: labs hint {report.exercise}"))
    if report.outcome is Outcome.KEPT:
        console.print(Text(f"The solution is open now: labs solution {report.exercise}"))
    repeat = f"--seed {report.seed}"
    console.print(Text(f"It took {report.took_s:.1f} s. To repeat just this run: {repeat}"))


def _draw(made: Attempt) -> Picture | None:
    shown = made.evidence()
    if shown is None:
        return None
    events, only, body = shown
    return draw_run(events, only=only or None, highlight=body)


def _save(slug: str, picture: Picture) -> Path:
    folder = labs_home() / "checks"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{slug}.svg"
    path.write_text(picture.svg, encoding="utf-8")
    return path


def _is_a_command(slug: str, program: Sequence[str]) -> None:
    if not program:
        raise BadInput(
            "Which program? The command that starts it is missing.",
            remedy=f"Write it behind --: labs check {slug} -- python my_program.py",
        )
    if program[0].startswith("-"):
        raise BadInput(
            f"{program[0]} is no option of this command.",
            remedy=f"See labs check --help. Your program's own command comes behind --: "
            f"labs check {slug} -- python my_program.py",
        )
