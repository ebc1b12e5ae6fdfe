"""`labs queue-service`: builds and jobs behind REST, at a terminal.

Here are the commands about messages; the server, keys and passwords, schedules, workers and the
failed list are in files of their own. Each command is one verb of the service, whichever answers.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import click

from labs.cli.group import Group
from labs.cli.output import print_json
from labs.cli.queue_service_access import keys, password, token
from labs.cli.queue_service_dispatch import dispatch
from labs.cli.queue_service_failed import failed
from labs.cli.queue_service_schedules import schedule
from labs.cli.queue_service_serve import serve
from labs.cli.queue_service_wiring import (
    JSON,
    STATES,
    as_data,
    completes,
    message_ids,
    object_of,
    paragraphs,
    plain,
    service_options,
    table,
    the_service,
)
from labs.cli.queue_service_work import ack, claim, extend, nack, work
from labs.errors import BadInput

if TYPE_CHECKING:
    from labs.queue_service.client_verbs import Verbs
    from labs.queue_service.messages import Enqueued, Standing

WATCH_S = 0.3
NOT_DONE = 1
"""The exit code of what has ended otherwise than well."""


@click.group(cls=Group)
def command() -> None:
    """A queue service: builds of jobs wait, are blocked, run, and never run twice at a time.

    \b
    Try it, in two terminals:
      labs queue-service serve
      labs queue-service start 1 777
      labs queue-service start 2 777
      labs queue-service messages
      labs queue-service work -- sh -c 'echo building $BUILD_ID; sleep 2'
      labs queue-service stats

    \b
    With tokens, and a job that starts by the clock:
      labs queue-service serve --own-keys
      export QUEUE_SERVICE_TOKEN=$(labs queue-service token)
      labs queue-service schedule put 777 'H 9-17 * * MON-FRI' --time-zone Europe/Berlin

    Commands ask http://127.0.0.1:8002 unless --url or QUEUE_SERVICE_URL names another.
    `labs queue-service settings` lists all settings: a flag wins over the environment, that
    over the dotenv file that --config or QUEUE_SERVICE_CONFIG_PATH names.
    """


for one in (
    serve,
    keys,
    token,
    password,
    schedule,
    claim,
    extend,
    ack,
    nack,
    work,
    dispatch,
    failed,
):
    command.add_command(one)


@command.command()
@click.argument("build_id", metavar="BUILD", type=click.IntRange(min=1))
@click.argument("job_id", metavar="JOB", type=click.IntRange(min=1))
@click.option("--body", metavar="JSON", help="An object, kept with the message: for its worker.")
@click.option("--name", "job_name", metavar="NAME", default="", help="The job's.")
@click.option(
    "--blocked-by",
    metavar="JOB",
    type=click.IntRange(min=1),
    multiple=True,
    help="Not while this job is running; any number of them. Else the own job.",
)
@click.option("--keep-all", is_flag=True, help="Newer builds don't take the place of blocked ones.")
@click.option(
    "--freeze-window",
    "freeze_windows",
    metavar="CRON",
    multiple=True,
    help="Not in these minutes (UTC), such as '* 0-6 ? * *'.",
)
@click.option("--force", is_flag=True, help="Pass over the freeze windows.")
@click.option("--virtual", is_flag=True, help="Nothing is to be run: done once nothing blocks it.")
@click.option("--cluster", metavar="NAME", default="", help="Only its workers may claim it.")
@click.option("--priority", type=int, default=0, help="Higher ones are claimed first.")
@click.option("--delay", "delay_s", metavar="SECONDS", type=float, default=0.0, help="For later.")
@click.option("--max-attempts", metavar="N", type=int, help="It is tried so often; else 3.")
@click.option(
    "--backoff", "backoff_s", metavar="SECONDS", type=float, help="Pause after the first; else 5."
)
@click.option("--idempotency-key", metavar="KEY", help="The same for each try of one request.")
@JSON
@service_options
def start(
    build_id: int,
    job_id: int,
    body: str | None,
    blocked_by: tuple[int, ...],
    keep_all: bool,
    max_attempts: int | None,
    backoff_s: float | None,
    as_json: bool,
    url: Any,
    token_file: Any,
    config: Any,
    **options: Any,
) -> None:
    """Enqueue build BUILD of job JOB, once: a build that is there already is not enqueued again.

    \b
    Examples:
      labs queue-service start 1 777
      labs queue-service start 2 777 --body '{"container": "node:22"}' --priority 5
      labs queue-service start 3 778 --blocked-by 777 --blocked-by 778
      labs queue-service start 4 779 --freeze-window '* * ? * SAT,SUN'
    """
    asked = {"max_attempts": max_attempts, "backoff_s": backoff_s}
    options |= {name: value for name, value in asked.items() if value is not None}
    message = {} if body is None else object_of(body, "--body")
    with the_service(url, token_file, config) as service:
        enqueued = service.start(
            build_id,
            job_id,
            message,
            blocked_by=blocked_by or None,
            collapse=not keep_all,
            **options,
        )
    print_json(as_data(enqueued)) if as_json else click.echo(_in_words(enqueued))


@command.command()
@click.argument("build", metavar="BUILD", required=False)
@click.option(
    "--frozen", "frozen_job", metavar="JOB", type=click.IntRange(min=1), help="A job's frozen one."
)
@JSON
@service_options
def stop(build: str | None, frozen_job: int | None, as_json: bool, **which: Any) -> None:
    """Let a build not run, or no longer: whoever works on it is told.

    BUILD is its number, or the id of its message, such as that of a schedule's run.

    \b
    Examples:
      labs queue-service stop 4211
      labs queue-service stop --frozen 777
    """
    if (build is None) == (frozen_job is None):
        raise BadInput("Which build?", remedy="Give its number, or --frozen and a job's.")
    with the_service(**which) as service:
        if build is not None:
            stopped = service.stop(int(build) if re.fullmatch("[0-9]{1,16}", build) else build)
        else:
            assert frozen_job is not None
            stopped = service.stop_frozen(frozen_job)
    if as_json:
        print_json(as_data(stopped))
    elif stopped.stopped:
        was = f"It was {stopped.was}." if stopped.was else "It will not run when it comes."
        click.echo(f"{plain(stopped.id)} is stopped. {was}")
    else:
        click.echo(f"{plain(stopped.id) or 'Nothing'} is as it was: {stopped.was or 'not there'}.")


@command.command()
@click.argument("job_id", metavar="JOB", type=click.IntRange(min=1))
@JSON
@service_options
def thaw(job_id: int, as_json: bool, **which: Any) -> None:
    """Let a job's frozen message wait no more for the end of its window."""
    with the_service(**which) as service:
        enqueued = service.thaw(job_id)
    print_json(as_data(enqueued)) if as_json else click.echo(_in_words(enqueued))


@command.command()
@click.argument("id", metavar="ID", required=False, shell_complete=completes(message_ids()))
@click.option(
    "--job", "job_id", metavar="JOB", type=click.IntRange(min=1), help="The newest of this job."
)
@click.option("--watch", is_flag=True, help="Say each change, until it has ended.")
@JSON
@service_options
def status(id: str | None, job_id: int | None, watch: bool, as_json: bool, **which: Any) -> None:
    """Say where a message stands: its state, its place in line, what it waits for.

    With --watch it goes on until the message has ended; the exit code then is 0 if it is
    done, and 1 if not. The exit code is 23 if there is no such message.

    \b
    Examples:
      labs queue-service status 4211
      labs queue-service status --job 777 --watch
    """
    if (id is None) == (job_id is None):
        raise BadInput("Which message?", remedy="Give its id, or --job and a job's number.")
    with the_service(**which) as service:
        standing = service.find(id) if id is not None else service.find_job(_there(job_id))
        if watch:
            _watched(service, standing, as_json)
        elif as_json:
            print_json(as_data(standing))
        else:
            _show(standing)


@command.command()
@click.option("--state", type=click.Choice(STATES), help="In this state.")
@click.option("--job", "job_id", metavar="JOB", type=click.IntRange(min=1), help="Of this job.")
@click.option("--cluster", metavar="NAME", help="Of this build cluster.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), default=50, show_default=True)
@JSON
@service_options
def messages(
    state: str | None,
    job_id: int | None,
    cluster: str | None,
    limit: int,
    as_json: bool,
    **which: Any,
) -> None:
    """List messages, the newest first.

    \b
    Examples:
      labs queue-service messages
      labs queue-service messages --state blocked --job 777
    """
    from itertools import islice

    from labs.queue_service.messages import State

    wanted = None if state is None else State(state)
    with the_service(**which) as service:
        found = list(
            islice(service.messages(state=wanted, job_id=job_id, cluster=cluster), limit + 1)
        )
    shown = found[:limit]
    if as_json:
        print_json(as_data(shown))
        return
    if not shown:
        click.echo("There is none.")
        return
    columns = ("id", "job", "state", "waits for", "attempts", "owner", "since (UTC)")
    table(
        columns,
        (
            (
                one.id,
                f"{one.job_id} {one.job_name}".strip(),
                one.state,
                one.waits_for or one.replaced_by,
                one.attempts,
                one.owner,
                one.ended_at or one.started_at or one.enqueued_at,
            )
            for one in shown
        ),
        wraps="job",
    )
    if len(found) > limit:
        click.echo("And more: a larger --limit shows them.")


@command.command()
@click.option("--watch", is_flag=True, help="Say each change, until Ctrl-C.")
@JSON
@service_options
def stats(watch: bool, as_json: bool, **which: Any) -> None:
    """Say how the queue stands: how many there are of each state, who works, how long they wait.

    The exit code is 0, or 18 when the service or its store does not answer.
    """
    with the_service(**which) as service:
        before = None
        while True:
            now = service.stats()
            if now.counts != before:
                _show_stats(as_data(now), as_json, watch)
            if not watch:
                return
            before = now.counts
            time.sleep(WATCH_S)


@command.command()
def settings() -> None:
    """Print the table of settings: variable, flag, default, meaning."""
    from labs.queue_service.configuration import table

    click.echo(table())


def _there(job_id: int | None) -> int:
    assert job_id is not None
    return job_id


def _in_words(enqueued: Enqueued) -> str:
    said = [f"{plain(enqueued.id) or 'Nothing'} is {enqueued.state}."]
    if enqueued.replayed:
        said.append("So this key was answered the first time.")
    if enqueued.waits_for:
        said.append(f"It waits for job {enqueued.waits_for}.")
    if enqueued.until:
        said.append(f"It is frozen until {plain(enqueued.until)} UTC.")
    return " ".join([*said, enqueued.note]).strip()


def _show(standing: Standing) -> None:
    paragraphs(standing.message)
    if standing.position is not None:
        most = " or more" if standing.position_at_least else ""
        click.echo(f"{'position':<13} {standing.position}{most}")


def _watched(service: Verbs, standing: Standing, as_json: bool) -> None:
    from labs.queue_service.messages import LIVE, State

    before = None
    while True:
        message = standing.message
        now = (message.state, message.attempts, message.waits_for, standing.position)
        if now != before:
            _say(standing, as_json)
        if message.state not in LIVE:
            if message.state is not State.DONE:
                raise click.exceptions.Exit(NOT_DONE)
            return
        before = now
        time.sleep(WATCH_S)
        standing = service.find(message.id)


def _say(standing: Standing, as_json: bool) -> None:
    message = standing.message
    if as_json:
        click.echo(json.dumps(as_data(standing)))
        return
    more = f"attempt {message.attempts}" if message.attempts else ""
    if message.waits_for:
        more = f"waits for job {message.waits_for}"
    elif standing.position:
        more = f"position {standing.position}{' or more' if standing.position_at_least else ''}"
    if message.reason:
        more = message.reason
    click.echo(f"{time.strftime('%X')}  {plain(message.id)}  {message.state:<9} {plain(more)}")


def _show_stats(known: dict[str, Any], as_json: bool, watch: bool) -> None:
    if as_json:
        click.echo(json.dumps(known)) if watch else print_json(known)
        return
    counts = known["counts"]
    if watch:
        there = (f"{state} {counts[state]:,}" for state in STATES if counts.get(state))
        click.echo(f"{time.strftime('%X')}  {', '.join(there) or 'nothing'}")
        return
    for state in STATES:
        click.echo(f"{state:<13} {counts.get(state, 0):>12,}")
    click.echo(f"{'workers':<13} {known['workers']:>12,}")
    click.echo(f"{'oldest waits':<13} {known['oldestAgeS']:>10,.0f} s")
