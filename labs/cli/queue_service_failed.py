"""`labs queue-service failed`: look at the messages that have failed, replay or forget them."""

from __future__ import annotations

from itertools import islice
from typing import Any

import click

from labs.cli.group import Group
from labs.cli.output import print_json
from labs.cli.queue_service_wiring import (
    JSON,
    as_data,
    completes,
    ids_of,
    message_ids,
    plain,
    service_options,
    table,
    the_service,
)

SHOWN = 100
IDS = click.argument(
    "ids", metavar="[ID]...", nargs=-1, shell_complete=completes(message_ids("failed"))
)
ALL = click.option("--all", "everything", is_flag=True, help="All that have failed.")


@click.group(cls=Group)
def failed() -> None:
    """The messages whose attempts are used up: list, replay, discard."""


@failed.command("list")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), default=SHOWN, show_default=True)
@JSON
@service_options
def list_(limit: int, as_json: bool, **which: Any) -> None:
    """List them, the newest first."""
    from labs.queue_service.messages import State

    with the_service(**which) as service:
        found = list(islice(service.messages(state=State.FAILED), limit + 1))
    if as_json:
        print_json(as_data(found[:limit]))
        return
    if not found:
        click.echo("No message has failed.")
        return
    table(
        ("id", "job", "attempts", "failed (UTC)", "reason"),
        (
            (one.id, f"{one.job_id} {one.job_name}".strip(), one.attempts, one.ended_at, one.reason)
            for one in found[:limit]
        ),
        wraps="reason",
    )
    if len(found) > limit:
        click.echo("And more: a larger --limit shows them.")


@failed.command()
@IDS
@ALL
@JSON
@service_options
def replay(ids: tuple[str, ...], everything: bool, as_json: bool, **which: Any) -> None:
    """Queue them again, their attempts counted anew.

    \b
    Examples:
      labs queue-service failed replay 4211 4212
      labs queue-service failed replay --all
    """
    wanted = ids_of(ids, everything)
    with the_service(**which) as service:
        moved = service.replay(wanted)
    _say(ids, moved, "replayed", as_json)


@failed.command()
@IDS
@ALL
@click.option("--yes", is_flag=True, help="Do it without asking.")
@JSON
@service_options
def discard(ids: tuple[str, ...], everything: bool, yes: bool, as_json: bool, **which: Any) -> None:
    """Let them go for good. It asks first.

    The exit code is 1 when the answer was no.
    """
    wanted = ids_of(ids, everything)
    many = "all messages that have failed" if wanted is None else _messages(len(wanted))
    if not yes and not click.confirm(f"Discard {many} for good?", err=True):
        click.echo("Nothing was changed.", err=True)
        click.get_current_context().exit(1)
    with the_service(**which) as service:
        moved = service.discard(wanted)
    _say(ids, moved, "discarded", as_json)


def _messages(number: int) -> str:
    return f"{number} message{'' if number == 1 else 's'}"


def _say(asked: tuple[str, ...], moved: Any, what: str, as_json: bool) -> None:
    left = [one for one in asked if one not in set(moved)]
    if as_json:
        print_json({what: list(moved), "skipped": left})
        return
    for one in left:
        click.echo(f"{plain(one)} has not failed; it is as it was.", err=True)
    click.echo(f"{len(moved)} {what}.")
