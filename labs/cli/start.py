"""`labs start`: an exercise's brief and starter, copied to where the learner works."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from labs.cli.learner import exercise_argument
from labs.errors import BadInput
from labs.judge.catalogue import exercise as the_exercise


@click.command()
@exercise_argument
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def command(exercise: str, folder: Path) -> None:
    """Begin an exercise: its brief and a program to change.

    Both are put into FOLDER, which is here unless you say otherwise. A file of
    yours is never overwritten.

    \b
    Examples:
      labs start hello-producer
      labs start acknowledgements my-programs
    """
    found = the_exercise(exercise)
    program = folder / found.learners_file
    brief = program.with_suffix(".md")
    for path in (program, brief):
        if path.exists() or path.is_symlink():
            raise BadInput(
                f"{path} is there already. It may hold your work, and so nothing was changed.",
                remedy=f"Go on with it, rename it, or name another folder: "
                f"labs start {exercise} FOLDER",
            )
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in ((program, found.starter), (brief, found.brief)):
        with path.open("x", encoding="utf-8") as file:  # x: not even if it came this moment
            file.write(text)
    click.echo(f"{brief}  says what to write, and what will go wrong")
    click.echo(f"{program}  is where you begin: it runs, and breaks a promise")
    click.echo("To see which, type:")
    click.echo(f"  labs check {exercise} -- python {shlex.quote(str(program))}")
