"""`labs solution`: the kit's own program for an exercise, for whoever has passed it."""

from __future__ import annotations

import click

from labs.cli.learner import exercise_argument, name_option, progress_of, show_markdown
from labs.judge.catalogue import exercise as the_exercise


@click.command()
@exercise_argument
@name_option
def command(exercise: str, name: str | None) -> None:
    """Show an exercise's solution, once you have passed.

    First the program, then why it works, and two other designs that are right.
    """
    found = the_exercise(exercise)
    progress_of(name).require_pass(exercise)
    show_markdown(f"```python\n{found.solution}```\n\n{found.explanation}")
