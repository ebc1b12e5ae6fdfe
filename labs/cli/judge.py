"""`labs judge`: judge again a run that `labs check --journal` kept."""

from __future__ import annotations

from pathlib import Path

import click

from labs.cli.output import print_json


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def command(file: Path, as_json: bool) -> None:
    """Judge again a run that `labs check --journal FILE` kept.

    No broker and no program are needed: all that was seen is in the file. The exit
    code is that of `labs check`; no attempt is counted.
    """
    from labs.errors import BadInput
    from labs.journal import read_journals
    from labs.judge import engine, report

    journals = read_journals(file)
    if not all(journal[0].kind == "run" for journal in journals):
        raise BadInput(
            f"{file} is a recorded conversation, not a run of an exercise.",
            remedy=f"`labs draw {file}` shows it.",
        )
    judged = engine.judge(journals)
    if as_json:
        print_json(report.as_json(judged, journal=str(file)))
    else:
        click.echo(report.in_words(judged))
    click.get_current_context().exit(judged.exit_code)
