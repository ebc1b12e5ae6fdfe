"""`labs queue-service schedule`: jobs that start by the clock; and when a cron expression runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from labs.cli.group import Group
from labs.cli.output import print_json
from labs.cli.queue_service_wiring import (
    JSON,
    as_data,
    completes,
    object_of,
    plain,
    scheduled_jobs,
    service_options,
    table,
    the_service,
)
from labs.errors import BadInput

JOB = click.argument(
    "job_id",
    metavar="JOB",
    type=click.IntRange(min=1),
    shell_complete=completes(scheduled_jobs),
)
ZONE = click.option(
    "--time-zone", metavar="ZONE", default="UTC", show_default=True, help="Such as Europe/Berlin."
)
RUNS = 5


@click.group(cls=Group)
def schedule() -> None:
    """Jobs that start by the clock: list, put, delete; and next, which needs no server."""


@schedule.command("list")
@JSON
@service_options
def list_(as_json: bool, **which: Any) -> None:
    """List them, by their next run."""
    with the_service(**which) as service:
        found = service.schedules()
    if as_json:
        print_json(as_data(found))
        return
    if not found:
        click.echo("No job starts by the clock.")
        return
    table(
        ("job", "runs", "zone", "next (UTC)", "last (UTC)"),
        (
            (
                f"{one.job_id} {one.job_name}".strip(),
                one.hashed,
                one.time_zone,
                _minute(one.next_run),
                _minute(one.last_run),
            )
            for one in found
        ),
        wraps="job",
    )


@schedule.command()
@JOB
@click.argument("cron", metavar="CRON")
@ZONE
@click.option("--name", "job_name", metavar="NAME", default="", help="The job's.")
@click.option("--body", metavar="JSON", help="The message of each run.")
@click.option("--now", "trigger", is_flag=True, help="Start it once at once, too.")
@JSON
@service_options
def put(
    job_id: int,
    cron: str,
    time_zone: str,
    job_name: str,
    body: str | None,
    trigger: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Start job JOB when CRON says so, in place of how it was before.

    CRON has five fields: minute, hour, day of month, month, day of week. `H` is a number of
    the job's own, so that not all start at once; the minute is always that.

    \b
    Examples:
      labs queue-service schedule put 777 'H H * * *'
      labs queue-service schedule put 777 'H 9-17 * * MON-FRI' --time-zone Europe/Berlin
    """
    message = {} if body is None else object_of(body, "--body")
    with the_service(**which) as service:
        kept = service.put_schedule(
            job_id, cron, job_name=job_name, time_zone=time_zone, body=message, trigger=trigger
        )
    if as_json:
        print_json(as_data(kept))
    elif kept is not None:
        click.echo(f"Job {kept.job_id} runs next at {plain(kept.next_run)} UTC ({kept.hashed}).")


@schedule.command()
@JOB
@service_options
def delete(job_id: int, **which: Any) -> None:
    """Start a job by the clock no more. Twice is no error."""
    with the_service(**which) as service:
        was = service.delete_schedule(job_id)
    click.echo(f"Job {job_id} {'starts by the clock no more' if was else 'had no schedule'}.")


@schedule.command("next")
@click.argument("cron", metavar="CRON")
@click.option(
    "--job",
    "job_id",
    metavar="JOB",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Whose numbers stand for H.",
)
@ZONE
@click.option(
    "--freeze-window",
    "windows",
    metavar="CRON",
    multiple=True,
    help="In these minutes (UTC) nothing starts, such as '* 0-6 ? * *'.",
)
@click.option("--after", metavar="TIME", help="From this time on, such as 2030-03-31T00:00Z.")
@click.option("--runs", metavar="N", type=click.IntRange(1, 1000), default=RUNS, show_default=True)
@JSON
def next_(
    cron: str,
    job_id: int,
    time_zone: str,
    windows: tuple[str, ...],
    after: str | None,
    runs: int,
    as_json: bool,
) -> None:
    """Print the next runs of a cron expression, without a server.

    \b
    Examples:
      labs queue-service schedule next 'H H * * *' --job 777
      labs queue-service schedule next 'H 2 * * *' --time-zone Europe/Berlin \\
        --after 2030-03-30T00:00Z
      labs queue-service schedule next 'H * * * *' --freeze-window '* 0-6 ? * *'
    """
    from labs.queue_service.cron import hashed
    from labs.queue_service.freezing import admitted_window, exit_of
    from labs.queue_service.schedule import next_run, zone_of

    meant = hashed(cron, job_id)
    zone = zone_of(time_zone)
    frozen = [admitted_window(text, n) for n, text in enumerate(windows)]
    at = datetime.now(UTC) if after is None else _time(after)
    found = []
    for _ in range(runs):
        at = next_run(meant, time_zone, at)
        found.append((at, exit_of(frozen, at)))
    if as_json:
        said = [
            {"run": run.isoformat(), "startsAt": (ends or run).isoformat()} for run, ends in found
        ]
        print_json({"hashed": meant, "timeZone": time_zone, "runs": said})
        return
    click.echo(f"{cron} is {meant} for job {job_id}.")
    columns = ["run (UTC)", f"in {time_zone}", "starts (UTC)"]
    local = ((run, f"{run.astimezone(zone):%a %Y-%m-%d %H:%M %z}", ends) for run, ends in found)
    table(
        columns if frozen else columns[:2],
        ([run, there, *([ends or run] if frozen else [])] for run, there, ends in local),
    )


def _minute(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{text!r:.60} is no time.", remedy="Such as 2030-03-31T00:00Z.") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
