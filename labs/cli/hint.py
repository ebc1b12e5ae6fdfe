"""`labs hint`: the hints that are open, and the next one if it was earned."""

from __future__ import annotations

import click

from labs.cli.learner import exercise_argument, name_option, progress_of
from labs.cli.output import print_json
from labs.judge.catalogue import Exercise
from labs.judge.catalogue import exercise as the_exercise
from labs.judge.progress import Standing

EVIDENCE = 2
"""The level that is about the learner's own run."""


@click.command()
@exercise_argument
@name_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def command(exercise: str, name: str | None, as_json: bool) -> None:
    """Show the next hint for an exercise.

    There are four: a question, where to look in your own run, what to read, and
    the shape of the change. The first comes with `labs check`; each further one
    opens after another attempt.
    """
    found = the_exercise(exercise)
    progress = progress_of(name)
    before = progress.standing(exercise)
    standing = progress.open_hint(exercise)
    hints = open_hints(found, standing)
    of = len(found.hints(None))
    if as_json:
        print_json([{"level": n, "of": of, "text": text} for n, text in enumerate(hints, 1)])
        return
    for level, text in enumerate(hints, 1):
        click.echo(f"Hint {level} of {of}: {text}\n")
    if len(hints) == of:
        click.echo("These are all hints that there are.")
    elif standing.hints == before.hints:
        click.echo(f"The next one opens after another `labs check {exercise}`.")


def open_hints(exercise: Exercise, standing: Standing) -> list[str]:
    """The texts of the hints that are open, for the belief that the last attempt showed."""
    ladder = exercise.hints(standing.misconception, standing.broken)
    hints = list(ladder[: len(standing.hints)])
    if len(hints) >= EVIDENCE and standing.seen:
        lines = "\n".join(f"    {line}" for line in standing.seen)
        hints[EVIDENCE - 1] += f"\n  In your last run:\n{lines}"
    return hints
