"""Which driver a command means: --name, --kafka and --settings, made into a service."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labs.cli.python_file import names_in
from labs.errors import BadInput, BrokerMissing

if TYPE_CHECKING:
    from labs.request_queue import DriverSettings, LifecycleRequestQueueService

F = TypeVar("F", bound=Callable[..., Any])
ADDRESS = "messaging.connection_address"
ENABLED = "resource_driver.lifecycle_request_queue.enabled"
FORM = "Write def handle_request(request): ... and return True (done) or False (not yet)."


def driver_options(function: F) -> F:
    """The options that say which driver, and where its Kafka is."""
    for option in (
        click.option(
            "--settings", type=click.Path(path_type=Path), help="A YAML file with all of it."
        ),
        click.option("--kafka", metavar="HOST:PORT", help="Where Kafka is; else the lab's own."),
        click.option("--name", metavar="NAME", help="The driver; topics are named after it."),
    ):
        function = option(function)
    return function


def settings_of(
    *,
    name: str | None = None,
    kafka: str | None = None,
    settings: Path | None = None,
    enabled: bool | None = None,
) -> DriverSettings:
    """The settings that are meant: the flags, the environment, the file, the lab's own Kafka.

    Raises:
        BadInput: a setting can't be meant.
    """
    from labs.cli.kafka import kept
    from labs.request_queue import DriverSettings
    from labs.settings import load

    given = {"application.name": name, ADDRESS: kafka, ENABLED: enabled}
    arguments = {key: value for key, value in given.items() if value is not None}
    found = load(DriverSettings, file=settings, environ=os.environ, arguments=arguments)
    if found.messaging.connection_address is None and (running := kept()):
        arguments[ADDRESS] = running.bootstrap
        found = load(DriverSettings, file=settings, environ=os.environ, arguments=arguments)
    return found


@contextmanager
def the_service(settings: DriverSettings) -> Iterator[LifecycleRequestQueueService]:
    """The service on its Kafka, until the end of the block.

    Raises:
        BrokerMissing: no Kafka is named, and none of this lab runs.
    """
    from labs.request_queue import LifecycleRequestQueueService, open_log

    if settings.messaging.connection_address is None:
        raise BrokerMissing(
            "No Kafka of this lab is running, and none is named.",
            remedy="Start one with `labs kafka up`, or name one with --kafka HOST:PORT.",
        )
    service = LifecycleRequestQueueService(open_log(settings), settings)
    try:
        yield service
    finally:
        service.close()


def from_file(file: Path, name: str) -> Callable[..., Any]:
    """The function of that name in a learner's file.

    Raises:
        BadInput: there is no such file or function, or the file can't be run.
    """
    function: Callable[..., Any] | None = names_in(file, run_name="driver").get(name)
    if not callable(function):
        raise BadInput(f"{file} has no function {name}.", remedy=FORM)
    return function
