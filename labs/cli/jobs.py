"""`labs jobs`: queue jobs, handle them with a file of handlers, see how they are, mend the failed.

The queue is the one that --name says, on the broker that the other commands use; --settings
reads a file instead, as a program of one's own would.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labs.cli.group import Group
from labs.cli.jobs_failed import failed
from labs.cli.jobs_queue import queue_option, the_queue
from labs.cli.output import harmless, json_text, print_json
from labs.errors import BadInput

if TYPE_CHECKING:
    from labs.job_queue.outcomes import Attempt

AT_ONCE = 500
"""So many jobs of standard input are queued in one confirmed batch."""
COLOURS = {"done": "green", "not yet": "yellow", "unknown": "yellow", "failed": "red"}


@click.group(cls=Group)
def command() -> None:
    """A job queue: each job has a type, each type a handler.

    A handler is a Python function. It says True: the job is done; False: not yet, it
    comes back after a pause; anything else, or an exception: the job has failed, and
    is kept until you retry or discard it.

    \b
    Try it:
      echo 'HANDLERS = {"DemoJob": lambda job: print(job) is None}' > handlers.py
      labs jobs queue '{"job_type": "DemoJob", "name": "Ada"}'
      labs jobs work handlers.py
      labs jobs failed list
    """


command.add_command(failed)


@command.command()
@click.argument("jobs", metavar="JSON...", nargs=-1, required=True)
@click.option("--delay", "delay_s", metavar="SECONDS", type=float, default=0.0, help="For later.")
@queue_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def queue(jobs: tuple[str, ...], delay_s: float, as_json: bool, **which: Any) -> None:
    """Queue jobs; print their ids once the broker has confirmed them.

    A job is JSON with a job_type. `-` reads a job from each line of standard input.
    All of it is looked at before anything is queued (of standard input: each 500 lines).

    \b
    Examples:
      labs jobs queue '{"job_type": "DemoJob", "name": "Ada"}'
      labs jobs queue --delay 60 '{"job_type": "Reminder"}'
      generate-jobs | labs jobs queue -
    """
    given = [(_job(text, f"argument {n}")) for n, text in enumerate(jobs, 1) if text != "-"]
    ids: list[str] = []
    with the_queue(**which) as jobs_queue:

        def put(some: Sequence[Any]) -> None:
            put_ids = jobs_queue.queue_jobs(some, delay_s=delay_s)
            ids.extend(put_ids)
            if not as_json:
                for job_id in put_ids:
                    click.echo(job_id)

        put(given)
        if "-" in jobs:
            waiting: list[Any] = []
            for number, line in enumerate(sys.stdin.buffer, 1):
                if line.strip():
                    waiting.append(_job(line, f"line {number}"))
                if len(waiting) >= AT_ONCE:
                    put(waiting)
                    waiting.clear()
            put(waiting)
    if as_json:
        print_json({"job_ids": ids})


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--workers", metavar="N", type=click.IntRange(min=1), help="Side by side; else 4.")
@queue_option
@click.option("--json", "as_json", is_flag=True, help="Print each attempt as a line of JSON.")
def work(file: Path, workers: int | None, as_json: bool, **which: Any) -> None:
    """Handle jobs with the handlers of a Python FILE, until Ctrl-C or SIGTERM.

    The file has a dict HANDLERS: job types, and the function for each. What each attempt
    came to is printed. Asked to stop, it takes no more jobs, lets running handlers finish
    for up to 30 seconds, and hands back the rest. Run it in several terminals: they share
    the work.

    \b
    # handlers.py
    def demo(job):
        print("Hello", job["name"])
        return True
    HANDLERS = {"DemoJob": demo}

    \b
    Examples:
      labs jobs work handlers.py
      labs jobs work handlers.py --workers 8 --name orders_job_queue
    """
    from labs.cli.jobs_file import handlers_of

    handlers = handlers_of(file)
    tell = print_as_json if as_json else print_attempt
    with the_queue(workers=workers, observer=tell, **which) as jobs:
        for job_type, handler in handlers.items():
            jobs.register_job_handler(job_type, handler)
        click.echo(f"Handling {', '.join(handlers)} of {jobs.name}. Ctrl-C ends it.", err=True)
        jobs.run()
    click.echo("Stopped.", err=True)


@command.command()
@queue_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def status(as_json: bool, **which: Any) -> None:
    """Say how many jobs wait, and how many have failed.

    Jobs in a worker's hands are in no queue's count, nor those that wait for a pause to
    end. The exit code is 0, or 4 when the broker does not answer.
    """
    with the_queue(**which) as jobs:
        counts = jobs.counts()
    found = {
        "name": jobs.name,
        "ready": counts.ready,
        "slow": counts.slow,
        "failed": counts.failed,
    }
    if as_json:
        print_json(found)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("queue", "jobs", "what they are", box=box.SIMPLE_HEAD)
    for suffix, number, what in (
        ("", counts.ready, "ready for a worker"),
        (".slow", counts.slow, "ready, set aside for a slow type"),
        (".failed", counts.failed, "failed: see `labs jobs failed list`"),
    ):
        table.add_row(f"{jobs.name}{suffix}", str(number), what)
    Console().print(table)


def print_attempt(attempt: Attempt) -> None:
    """One line for a person."""
    at = time.strftime("%H:%M:%S", time.localtime(attempt.ended_s))
    outcome = click.style(f"{attempt.outcome:<7}", fg=COLOURS[attempt.outcome])
    took = f"attempt {attempt.number}, {attempt.ended_s - attempt.started_s:.2f} s"
    why = f"  {attempt.why}" if attempt.outcome in ("failed", "unknown") else ""
    which = harmless(f"{attempt.job_type or '(no job)'}  {attempt.job_id}")
    click.echo(f"{at}  {outcome}  {which}  {took}{harmless(why)}")


def print_as_json(attempt: Attempt) -> None:
    """One line for a script."""
    from dataclasses import asdict

    click.echo(json_text(asdict(attempt)))


def _job(text: str | bytes, where: str) -> Any:
    import json

    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8"))
    except ValueError as error:
        why = str(error)
    except RecursionError:
        why = "it is nested too deeply"
    raise BadInput(
        f"The job in {where} is not JSON: {why}.",
        remedy="""In a shell, put it in single quotes: '{"job_type": "DemoJob"}'.""",
    )
