"""`labs queue-service dispatch`: messages are pushed to workers, rather than claimed by them.

The workers are the task queue's: programs that consume from RabbitMQ, scripts of a folder on this
machine, workflows on Argo. One that is out of reach is waited for, cluster by cluster.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labs.cli.queue_service_access import lab_folder
from labs.cli.queue_service_wiring import plain, service_options, settings_of, the_service
from labs.cli.task_queue_service import COLOURS, print_as_json
from labs.cli.task_queue_wiring import logging_to_stderr, say
from labs.errors import BadInput, BrokerMissing

if TYPE_CHECKING:
    from labs.queue_service.configuration import QueueServiceSettings
    from labs.queue_service.push_dispatch import WorkerFor
    from labs.task_queue.controller import Round

INTERFACES = click.Choice(["rabbit", "process", "argo-workflows"])


@click.command()
@click.option("--worker-interface", type=INTERFACES, required=True, help="What runs the builds.")
@click.option(
    "--cluster",
    "clusters",
    metavar="NAME",
    multiple=True,
    help="Builds of this cluster; any number of them. Else those of none.",
)
@click.option(
    "--worker-interface-id",
    "name",
    metavar="ID",
    help="The dispatcher's own name, the same after a restart; else this machine's.",
)
@click.option("--exchange", metavar="NAME", help="Of rabbit: where builds are published; builds.")
@click.option(
    "--path-to-scripts", metavar="FOLDER", type=click.Path(path_type=Path), help="Of process."
)
@click.option("--endpoint", metavar="URL", help="Of argo-workflows: its API.")
@click.option("--namespace", metavar="NAME", help="Of argo-workflows: Kubernetes' namespace.")
@click.option(
    "--processing-limit",
    "limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="So many builds of each cluster run at a time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print and log lines of JSON.")
@service_options
def dispatch(
    worker_interface: str,
    clusters: tuple[str, ...],
    limit: int,
    as_json: bool,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    **flags: Any,
) -> None:
    """Push builds to workers as soon as nothing blocks them, until Ctrl-C or SIGTERM.

    What runs then goes on, and a dispatcher with the same id takes it up again. Where the
    service or a worker is out of reach it is tried again, and no build fails for it.

    \b
    Messages, for any program that consumes the queue `builds` or `builds.arm` of a RabbitMQ:
      eval "$(labs env)"
      labs queue-service dispatch --worker-interface rabbit --cluster '' --cluster arm

    \b
    Scripts of a folder, four at a time; a start says which: {"file_name": "work.py"}:
      labs queue-service dispatch --worker-interface process \\
        --path-to-scripts ./scripts --processing-limit 4
    """
    from labs.queue_service.push_dispatch import dispatch as push
    from labs.stopping import Stop, signals_stop

    settings = settings_of(config, url=url)
    worker_for = _workers(worker_interface, settings, **flags)
    stop = Stop()
    with (
        logging_to_stderr(as_json),
        the_service(url, token_file, config) as service,
        signals_stop(stop.want),
    ):
        service.stats()  # what is wrong with the address or the token is said at once
        say(as_json, f"Dispatching to {worker_interface}. Ctrl-C ends it.")
        push(
            service,
            worker_for,
            stop,
            clusters=clusters or ("",),
            limit=limit,
            tell=(lambda _, look: print_as_json(look)) if as_json else _tell,
        )
        say(as_json, "Stopped; what runs goes on, and is taken up again.")


def _workers(
    interface: str,
    settings: QueueServiceSettings,
    *,
    name: str | None,
    exchange: str | None,
    path_to_scripts: Path | None,
    endpoint: str | None,
    namespace: str | None,
) -> WorkerFor:
    """What makes the worker of a cluster.

    Raises:
        BadInput: something that it needs was not given. BrokerMissing: there is no RabbitMQ.
    """
    from labs.queue_service import push_workers as make

    if interface == "rabbit":
        return make.rabbit_workers(_broker(settings), exchange=exchange or make.EXCHANGE, name=name)
    if interface == "process":
        folder = _given(path_to_scripts, "--path-to-scripts")
        return make.process_workers(folder, state=lab_folder() / "dispatch")
    secret = settings.argo_token
    return make.argo_workers(
        _given(endpoint, "--endpoint"),
        _given(namespace, "--namespace"),
        name=name,
        token=None if secret is None else secret.get_secret_value(),
    )


def _broker(settings: QueueServiceSettings) -> str:
    from labs.broker import locate

    if settings.amqp_url is not None:
        return settings.amqp_url.get_secret_value()
    found = locate.given(None) or locate.running()
    if found is None:
        raise BrokerMissing(
            "No broker of this lab is running.",
            remedy="Start one with `labs up`, or set QUEUE_SERVICE_AMQP_URL.",
        )
    return found.address.url


def _given(value: Any, flag: str) -> Any:
    if value is None:
        raise BadInput(f"{flag} is missing.", remedy="`labs queue-service dispatch --help`.")
    return value


def _tell(cluster: str, look: Round) -> None:
    """One line for each build, for a person."""
    for what, colour in COLOURS.items():
        for id_ in getattr(look, what):
            word = click.style(f"{what:<9}", fg=colour)
            click.echo(f"{time.strftime('%X')}  {word}  {plain(id_)}  {plain(cluster)}".rstrip())
