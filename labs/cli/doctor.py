"""`labs doctor`: a table of all that a lab needs, each row fine or with its cure."""

from __future__ import annotations

from dataclasses import asdict

import click

from labs.broker.doctor import Finding, State, examine
from labs.cli.output import print_json

MARKS = {
    State.OK: ("green", "ok"),
    State.CAREFUL: ("yellow", "careful"),
    State.BAD: ("red", "BAD"),
    State.SKIPPED: ("dim", "-"),
}


@click.command()
@click.option("--url", metavar="URL", help="Look at this broker, not at the one in use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def command(url: str | None, as_json: bool) -> None:
    """Look at everything a lab needs; say how to cure what ails.

    Each row is ok, or says what is wrong and what to do. The exit code is 0 when
    no row is BAD, else 1. It changes nothing.
    """
    findings = list(examine(url))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        show(findings)
    if any(finding.state is State.BAD for finding in findings):
        click.get_current_context().exit(1)


def show(findings: list[Finding]) -> None:
    """Print the findings as a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("what")
    table.add_column("is")
    table.add_column("in words", overflow="fold")
    for finding in findings:
        colour, mark = MARKS[finding.state]
        words = Text(finding.what)
        if finding.cure:
            words.append(f"\n{finding.cure}", style="bold")
        table.add_row(finding.name, Text(mark, style=colour), words)
    Console().print(table)
