"""Which job queue a command means: --name, --url and --settings, made into a `JobQueue`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labs.errors import BrokerMissing

if TYPE_CHECKING:
    from labs.job_queue import JobQueue
    from labs.job_queue.outcomes import Observer

F = TypeVar("F", bound=Callable[..., Any])
NAME = "messaging.topics.job_queue.name"
ADDRESS = "messaging.connection_address"
USUAL_NAME = "labs_job_queue"


def queue_option(function: F) -> F:
    """The options that say which queue."""
    for option in (
        click.option(
            "--settings", type=click.Path(path_type=Path), help="A YAML file with all of it."
        ),
        click.option("--url", metavar="URL", help="The broker; else AMQP_URL, or the lab's."),
        click.option("--name", metavar="NAME", help=f"The queue; else {USUAL_NAME}."),
    ):
        function = option(function)
    return function


@contextmanager
def the_queue(
    *,
    name: str | None = None,
    url: str | None = None,
    settings: Path | None = None,
    workers: int | None = None,
    observer: Observer | None = None,
) -> Iterator[JobQueue]:
    """The queue that is meant, until the end of the block.

    Raises:
        BadInput: a setting or the URL can't be meant.
        BrokerMissing: no broker is named, and none of this lab runs.
        BusUnreachable: the broker does not answer.
    """
    from labs.job_queue import JobQueue
    from labs.job_queue.configuration import Settings
    from labs.settings import load

    arguments: dict[str, object] = {}
    if name:
        arguments[NAME] = name
    elif settings is None and "LABS_APPLICATION__NAME" not in os.environ:
        arguments[NAME] = os.environ.get("LABS_MESSAGING__TOPICS__JOB_QUEUE__NAME", USUAL_NAME)
    if workers:
        arguments["job_queue.workers"] = workers
    if url or (settings is None and "LABS_MESSAGING__CONNECTION_ADDRESS" not in os.environ):
        arguments[ADDRESS] = _broker(url)
    found = load(Settings, file=settings, environ=os.environ, arguments=arguments)
    with JobQueue.from_settings(found, observer=observer) as queue:
        queue.check()  # says at once what is wrong, where the queue itself would be patient
        yield queue


def _broker(url: str | None) -> str:
    from labs.broker import locate

    found = locate.given(url) or locate.running()
    if found is None:
        raise BrokerMissing(
            "No broker of this lab is running.",
            remedy="Start one with `labs up`, or name one with --url.",
        )
    return found.address.url
