"""`labs exercises`: the exercises in their order, and which of them are passed."""

from __future__ import annotations

import click

from labs.cli.learner import name_option, progress_of
from labs.cli.output import print_json
from labs.judge.catalogue import Exercise, exercises
from labs.judge.progress import Standing


@click.command()
@name_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def command(name: str | None, as_json: bool) -> None:
    """List the exercises, and which of them you have passed.

    They build on each other: begin at the top. `labs start EXERCISE` gives you the
    brief and a program to change; `labs check EXERCISE -- COMMAND` judges it.
    """
    standings = progress_of(name).standings()
    rows = [(exercise, standings.get(exercise.slug, Standing())) for exercise in exercises()]
    if as_json:
        print_json([as_data(*row) for row in rows])
        return
    show(rows)
    following = next((exercise for exercise, standing in rows if not standing.passed), None)
    if following is None:
        click.echo("You have passed them all.")
    else:
        click.echo(f"Next: labs start {following.slug}")


def as_data(exercise: Exercise, standing: Standing) -> dict[str, object]:
    """One exercise for a script."""
    return {
        "exercise": exercise.slug,
        "title": exercise.title,
        "program": exercise.program,
        "copies": exercise.copies,
        "summary": exercise.summary,
        "passed": standing.passed,
        "attempts": standing.attempts,
    }


def show(rows: list[tuple[Exercise, Standing]]) -> None:
    """Print the table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("exercise", no_wrap=True)
    table.add_column("you write a", no_wrap=True)
    table.add_column("and learn", overflow="fold")
    table.add_column("", no_wrap=True)
    for exercise, standing in rows:
        tried = "[yellow]tried[/yellow]" if standing.attempts else ""
        mark = "[green]passed[/green]" if standing.passed else tried
        table.add_row(exercise.slug, exercise.program, exercise.summary, mark)
    Console().print(table)
