"""`labs draw`: a recording as a sequence diagram, in the terminal or as an SVG file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from labs.errors import BadInput
from labs.journal import Event, read_journals
from labs.pictures.run import draw_run

NARROWEST, WIDEST = 60, 120


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--svg", metavar="FILE", type=click.Path(path_type=Path), help="Write an SVG, for a browser."
)
@click.option("--message", metavar="BODY", help="Mark one message's life; fold the others.")
@click.option("--trial", metavar="NAME", help="Of several runs in the file, only this one.")
@click.option("--event", "only", metavar="N", type=int, multiple=True, help="Only these events.")
def command(
    file: Path, svg: Path | None, message: str | None, trial: str | None, only: tuple[int, ...]
) -> None:
    """Draw what went over the wire, from a FILE that --journal or --record made.

    Time runs from top to bottom. A column is a program, or a queue of the broker; an
    arrow is what one sent to the other. What went as many others did is folded.

    \b
    Examples:
      labs draw run.journal
      labs draw run.journal --message job-3 --svg job-3.svg
    """
    journals = chosen(read_journals(file), trial)
    if svg is not None and len(journals) > 1:
        raise BadInput(
            f"{file} holds {len(journals)} runs, and an SVG file holds one.",
            remedy=f"Choose one: --trial {' or --trial '.join(map(_name, journals))}.",
        )
    width = min(max(shutil.get_terminal_size((96, 24)).columns, NARROWEST), WIDEST)
    for number, events in enumerate(journals):
        known = {str(event.data.get("body") or event.data.get("text")) for event in events}
        if message is not None and message not in known:
            raise BadInput(
                f"No message {message!r} is in this run.",
                remedy=f"`labs draw {file}` shows which there are.",
            )
        picture = draw_run(events, highlight=message, only=only or None, width=width)
        if svg is not None:
            click.echo(f"Written: {picture.save(svg)}")
        else:
            click.echo("\n" * (number > 0) + picture.text)


def chosen(journals: Sequence[Sequence[Event]], trial: str | None) -> Sequence[Sequence[Event]]:
    """The runs to draw."""
    if trial is None:
        return journals
    found = [events for events in journals if _name(events) == trial]
    if not found:
        raise BadInput(
            f"There is no trial {trial!r} in it.",
            remedy=f"There is {', '.join(dict.fromkeys(map(_name, journals)))}.",
        )
    return found


def _name(events: Sequence[Event]) -> str:
    """The name of the trial that a journal is of."""
    return next((str(e.data.get("trial") or "?") for e in events if e.kind == "run"), "?")
