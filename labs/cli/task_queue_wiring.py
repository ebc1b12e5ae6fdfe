"""Which task queue a command means: --queue, or the settings; else a file of the lab's own."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labs.errors import BadInput

if TYPE_CHECKING:
    from labs.task_queue.configuration import TaskQueueSettings
    from labs.task_queue.queue import TaskQueue

F = TypeVar("F", bound=Callable[..., Any])
KINDS = click.Choice(["in-memory", "sql-json", "s3-json"])
USUAL_NAME = "tasks"

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A dotenv file of NAME=value lines; else TASK_QUEUE_CONFIG_PATH.",
)
STORE = (
    click.option(
        "--queue-implementation", type=KINDS, help="What keeps the tasks; else what the rest means."
    ),
    click.option(
        "--connection-string",
        metavar="URL",
        help="Of sql-json: postgresql://… or sqlite:///path. Others on this machine can see "
        "flags: rather set SQL_QUEUE_CONNECTION_STRING.",
    ),
    click.option("--queue-name", metavar="NAME", help="Of sql-json: the queue in the database."),
    click.option("--s3-base-path", metavar="S3-URL", help="Of s3-json: s3://bucket/prefix."),
    click.option("--s3-endpoint-url", metavar="URL", help="The S3 server, if it is not Amazon's."),
)
EVENTS = (
    click.option(
        "--event-store-implementation",
        type=click.Choice(["none", "sql-json"]),
        help="Where events are kept.",
    ),
    click.option("--with-queue-events", is_flag=True, default=None, help="Keep every move."),
    click.option("--add-to-queue-event-name", metavar="NAME", help="The event of a put."),
    click.option("--move-queue-event-name", metavar="NAME", help="The event of a move."),
)
QUEUE = click.option(
    "--queue",
    metavar="URL",
    envvar="TASK_QUEUE_URL",
    help="A server (http://host:8080) or a store (postgresql://…, sqlite:///…, s3://…).",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def store_options(function: F) -> F:
    """The options that say where the tasks are kept, for server and controller."""
    for option in reversed((*STORE, *EVENTS, CONFIG)):
        function = option(function)
    return function


def queue_options(function: F) -> F:
    """The options that say which queue, for commands that use one."""
    for option in reversed((QUEUE, *STORE, CONFIG)):
        function = option(function)
    return function


def settings_of(config: Path | None, **flags: Any) -> TaskQueueSettings:
    """The settings; if nothing says where the tasks are, a SQLite file of the lab's own.

    Raises:
        BadInput: a setting can't be meant.
    """
    from labs.broker.state import labs_home
    from labs.task_queue.configuration import load_settings

    flags["fsspec_s3_endpoint_url"] = flags.pop("s3_endpoint_url", None)
    settings = load_settings(config, **flags)
    if not settings.names_a_store:
        home = labs_home()
        home.mkdir(parents=True, exist_ok=True)
        flags["connection_string"] = f"sqlite:///{home / 'task-queue.db'}"
        flags["queue_name"] = settings.queue_name or USUAL_NAME
        settings = load_settings(config, **flags)
    return settings


@contextmanager
def the_queue(queue: str | None, config: Path | None, **flags: Any) -> Iterator[TaskQueue]:
    """The queue that is meant, until the end of the block.

    Raises:
        LabError: it can't be meant, or does not answer.
    """
    from labs.task_queue.configuration import QueueKind, open_queue, open_url

    settings = settings_of(config, **flags)
    if queue is not None:
        token = settings.task_queue_token
        opened = open_url(
            queue,
            queue_name=settings.queue_name or USUAL_NAME,
            token=None if token is None else token.get_secret_value(),
        )
    elif settings.kind is QueueKind.IN_MEMORY:
        raise BadInput(
            "A queue in memory is gone when the command ends.",
            remedy="Start a server with it, and give its address: --queue http://localhost:8080.",
        )
    else:
        opened = open_queue(settings)
    with opened:
        yield opened


@contextmanager
def logging_to_stderr(as_json: bool, *, one_of_several: bool = False) -> Iterator[None]:
    """What the task queue and its server log, as lines on standard error.

    Args:
        one_of_several: each line names this process.
    """
    handler = logging.StreamHandler(sys.stderr)
    words = (
        "%(asctime)s  [%(process)d] %(message)s" if one_of_several else "%(asctime)s  %(message)s"
    )
    handler.setFormatter(_Json(one_of_several) if as_json else logging.Formatter(words, "%X"))
    loggers = [logging.getLogger(name) for name in ("labs", "uvicorn")]
    before = [(one.level, one.propagate) for one in loggers]
    for one in loggers:
        one.addHandler(handler)
        one.setLevel(logging.WARNING)
        one.propagate = False
    try:
        yield
    finally:
        for one, (level, propagate) in zip(loggers, before, strict=True):
            one.removeHandler(handler)
            one.setLevel(level)
            one.propagate = propagate


class _Json(logging.Formatter):
    def __init__(self, names_process: bool) -> None:
        super().__init__()
        self._names_process = names_process

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        said = {"at": round(record.created, 3), "level": record.levelname.lower()}
        said |= {"logger": record.name, "message": record.getMessage()}
        if self._names_process:
            said["process"] = record.process
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


def say(as_json: bool, what: str, **more: Any) -> None:
    """Say on standard error that something has happened: to a person, or as a line of JSON."""
    if as_json:
        click.echo(json.dumps({"at": round(time.time(), 3), "message": what, **more}), err=True)
    else:
        click.echo(f"{time.strftime('%X')}  {what}", err=True)
