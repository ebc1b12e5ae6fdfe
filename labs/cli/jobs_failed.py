"""`labs jobs failed`: look at the jobs that have failed, queue them again, or let them go."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from labs.cli.group import Group
from labs.cli.jobs_queue import queue_option, the_queue
from labs.cli.output import harmless, print_json
from labs.cli.output import progress as telling
from labs.errors import BadInput

if TYPE_CHECKING:
    from labs.job_queue import FailedJob

SHOWN = 100
NOT_FOUND = 1


@click.group(cls=Group)
def failed() -> None:
    """The jobs that have failed: list, show, retry, discard."""


@failed.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=SHOWN, help=f"Else {SHOWN}.")
@queue_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def list_(limit: int, as_json: bool, **which: Any) -> None:
    """List them, the oldest first."""
    with telling() as tell, the_queue(**which) as jobs:
        tell("looking at the failed jobs")
        found = jobs.failed.list()
    if as_json:
        print_json([as_data(job) for job in found[:limit]])
        return
    if not found:
        click.echo("No job has failed.")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "type", "attempts", "failed", "reason", box=box.SIMPLE_HEAD)
    table.columns[0].overflow = table.columns[4].overflow = "fold"
    for job in found[:limit]:
        row = (job.job_id, job.job_type or "(no job)", str(job.attempts), _when(job), job.reason)
        table.add_row(*map(_plain, row))
    Console().print(table)
    if len(found) > limit:
        click.echo(f"And {len(found) - limit} more: --limit {len(found)} shows them.")


@failed.command()
@click.argument("job_id", metavar="ID")
@queue_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def show(job_id: str, as_json: bool, **which: Any) -> None:
    """Show one with its reason, its traceback and what it says."""
    with the_queue(**which) as jobs:
        job = jobs.failed.show(job_id)
    if as_json:
        print_json(as_data(job))
        return
    lines = [
        f"job       {job.job_id}",
        f"type      {job.job_type or '(no job)'}",
        f"attempts  {job.attempts}",
        f"failed    {_when(job)}",
        f"reason    {job.reason}",
        f"it says   {job.body.decode('utf-8', 'backslashreplace')}",
    ]
    if job.traceback:
        lines.append(f"\n{job.traceback.rstrip()}")
    click.echo(harmless("\n".join(lines)))


@failed.command()
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All that have failed.")
@queue_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def retry(job_ids: tuple[str, ...], all_: bool, as_json: bool, **which: Any) -> None:
    """Queue them again, as if they had never been tried.

    Do it when the cause is mended: the handler, or what it needs. A job is in the work
    queue before it leaves the failed, so that nothing is lost in between. The exit code is
    1 when an id was not found.
    """
    _must_say_which(job_ids, all_)
    with telling() as tell, the_queue(**which) as jobs:
        tell("queueing again")
        done = jobs.failed.retry_all() if all_ else jobs.failed.retry(*job_ids)
    _report(done, job_ids, "queued again", as_json=as_json)


@failed.command()
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All that have failed.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@queue_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def discard(job_ids: tuple[str, ...], all_: bool, yes: bool, as_json: bool, **which: Any) -> None:
    """Let them go for good. It asks first.

    The exit code is 1 when an id was not found, or the answer was no.
    """
    _must_say_which(job_ids, all_)
    with the_queue(**which) as jobs:
        many = jobs.counts().failed if all_ else len(job_ids)
        question = f"Discard {many} failed job{'' if many == 1 else 's'} of {jobs.name} for good?"
        if not yes and not click.confirm(question, err=True):
            click.echo("Nothing was changed.", err=True)
            click.get_current_context().exit(1)
        done = jobs.failed.discard_all() if all_ else jobs.failed.discard(*job_ids)
    _report(done, job_ids, "discarded", as_json=as_json)


def as_data(job: FailedJob) -> dict[str, object]:
    """A failed job for a script."""
    return {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "reason": job.reason,
        "traceback": job.traceback,
        "attempts": job.attempts,
        "failed_at_s": job.failed_at_s,
        "job": job.job,
        "body": job.body.decode("utf-8", "backslashreplace"),
    }


def _must_say_which(job_ids: tuple[str, ...], all_: bool) -> None:
    if bool(job_ids) == all_:
        raise BadInput(
            "Which jobs? Give ids, or --all." if not all_ else "--all takes no ids.",
            remedy="`labs jobs failed list` shows what there is.",
        )


def _report(done: tuple[str, ...], asked: tuple[str, ...], what: str, *, as_json: bool) -> None:
    missing = [job_id for job_id in asked if job_id not in done]
    if as_json:
        print_json({"job_ids": list(done), "not_found": missing})
    else:
        click.echo(f"{len(done)} {what}.")
        for job_id in missing:
            click.echo(f"There is no failed job {job_id!r}.", err=True)
    click.get_current_context().exit(NOT_FOUND if missing else 0)


def _when(job: FailedJob) -> str:
    if job.failed_at_s is None:
        return "?"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.failed_at_s))


def _plain(text: str) -> str:
    """Brackets are no mark-up in what strangers wrote, and nothing of it moves the terminal."""
    from rich.markup import escape

    return escape(harmless(text))
