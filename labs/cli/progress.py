"""`labs progress`: what a learner has passed, what is open, attempts and hints used."""

from __future__ import annotations

import click

from labs.cli.learner import name_option, progress_of
from labs.cli.output import print_json
from labs.judge.catalogue import SLUGS
from labs.judge.misconceptions import MISCONCEPTIONS
from labs.judge.progress import HINTS, Standing


@click.command()
@name_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def command(name: str | None, as_json: bool) -> None:
    """Show what is passed, what is open, and attempts.

    It is read from progress.json in the lab's folder (.labs, or LABS_HOME), which
    `labs check` writes. Give --name where several people share one computer.
    """
    progress = progress_of(name)
    standings = progress.standings()
    rows = {slug: standings.get(slug, Standing()) for slug in SLUGS}
    passed = [slug for slug, standing in rows.items() if standing.passed]
    if as_json:
        print_json(
            {
                "learner": progress.learner,
                "passed": passed,
                "open": [slug for slug in SLUGS if slug not in passed],
                "exercises": {slug: as_data(standing) for slug, standing in rows.items()},
            }
        )
        return
    show(rows)
    click.echo(f"{progress.learner}: {len(passed)} of {len(SLUGS)} passed.")


def as_data(standing: Standing) -> dict[str, object]:
    """One standing for a script."""
    return {
        "passed": standing.passed,
        "attempts": standing.attempts,
        "passes": standing.passes,
        "hints": len(standing.hints),
        "outcome": str(standing.outcome) if standing.outcome else None,
        "misconceptions": list(standing.misconceptions),
    }


def show(rows: dict[str, Standing]) -> None:
    """Print the table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("exercise", no_wrap=True)
    table.add_column("is", no_wrap=True)
    table.add_column("attempts", justify="right")
    table.add_column("hints", justify="right")
    table.add_column("beliefs met on the way", overflow="fold")
    for slug, standing in rows.items():
        beliefs = "\n".join(
            MISCONCEPTIONS[number].belief
            for number in standing.misconceptions
            if number in MISCONCEPTIONS
        )
        table.add_row(
            slug,
            "[green]passed[/green]" if standing.passed else "open",
            str(standing.attempts or ""),
            f"{len(standing.hints)} of {HINTS}" if standing.hints else "",
            beliefs,
        )
    Console().print(table)
