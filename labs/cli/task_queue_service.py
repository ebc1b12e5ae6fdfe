"""`labs task-queue server` and `controller`: what goes on until it is told to stop."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labs.cli.task_queue_wiring import logging_to_stderr, say, settings_of, store_options
from labs.errors import BadInput

if TYPE_CHECKING:
    from labs.task_queue.configuration import TaskQueueSettings
    from labs.task_queue.controller import Round

COLOURS = {"started": "cyan", "succeeded": "green", "failed": "red"}


@click.command()
@click.option("--host", metavar="ADDRESS", help="Where to listen; else 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="On which port; else 8080; 0: any.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="Holds what clients must bring; else TASK_QUEUE_TOKEN.",
)
@click.option("--no-auth", is_flag=True, help="Let everybody in, beyond this machine too.")
@click.option("--certificate", type=click.Path(path_type=Path), help="A PEM file: speak HTTPS.")
@click.option("--key", type=click.Path(path_type=Path), help="Its key, if that is a file apart.")
@click.option(
    "--max-body",
    "max_body_bytes",
    metavar="BYTES",
    type=click.IntRange(min=1024),
    default=16 * 1024 * 1024,
    show_default=True,
    help="A longer request is refused.",
)
@click.option("--json", "as_json", is_flag=True, help="Log lines of JSON.")
@store_options
def server(
    host: str | None,
    port: int | None,
    token_file: Path | None,
    no_auth: bool,
    certificate: Path | None,
    key: Path | None,
    max_body_bytes: int,
    as_json: bool,
    **store: Any,
) -> None:
    """Serve the REST API under /api/v1/queue/ until Ctrl-C or SIGTERM.

    On this machine alone (the usual) no token is asked for, unless TASK_QUEUE_TOKEN or
    --token-file gives one. Beyond it there must be one: clients send it as
    `Authorization: Bearer TOKEN`. While the store is away, requests get 503; the server
    stays. Asked to stop, it answers what it is answering.

    \b
    Examples:
      labs task-queue server --queue-implementation in-memory
      SQL_QUEUE_CONNECTION_STRING=postgresql://me:secret@db/tasks SQL_QUEUE_NAME=orders \\
        TASK_QUEUE_TOKEN=$(openssl rand -hex 16) labs task-queue server --host 0.0.0.0
      curl -s localhost:8080/api/v1/queue/sizes
      curl -s localhost:8080/api/v1/queue/put -H 'Content-Type: application/json' \\
        -d '{"task-1": {"n": 1}}'
      curl -s localhost:8080/api/v1/queue/health
      curl -s localhost:8080/openapi.json
    """
    from labs.stopping import Stop, signals_stop
    from labs.task_queue.api import create_app
    from labs.task_queue.api_server import local_hosts, serving
    from labs.task_queue.configuration import open_to_serve
    from labs.task_queue.controller import open_patiently

    settings = settings_of(task_queue_host=host, task_queue_port=port, **store)
    token = _token(settings, token_file, no_auth)
    stop = Stop()
    with logging_to_stderr(as_json), signals_stop(stop.want):
        queue = open_patiently(partial(open_to_serve, settings), stop)
        if queue is not None:
            here = settings.task_queue_host, settings.task_queue_port
            hosts = local_hosts(here[0]) if token is None else None
            app = create_app(queue, token=token, max_body_bytes=max_body_bytes, hosts=hosts)
            with queue, serving(app, *here, certificate=certificate, key=key) as url:
                what = queue.description()["implementation"]
                say(as_json, f"Serving a task queue ({what}) at {url}. Ctrl-C ends it.", url=url)
                stop.wait()
                say(as_json, "Stopping: what is being answered is answered.")
        say(as_json, "Stopped.")


def _token(settings: TaskQueueSettings, file: Path | None, no_auth: bool) -> str | None:
    """The token that is asked for; None: none is."""
    from labs.task_queue.api_server import is_loopback

    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise BadInput(
                f"The token's file {file} can't be read: {why}.",
                remedy="Give a file that holds the token and nothing else.",
            ) from None
    else:
        secret = settings.task_queue_token
        token = "" if secret is None else secret.get_secret_value()
    if no_auth:
        return None
    if not token and (file is not None or not is_loopback(settings.task_queue_host)):
        raise BadInput(
            f"A server at {settings.task_queue_host} can be reached from other machines, and "
            "there is no token that keeps strangers out.",
            remedy="Set TASK_QUEUE_TOKEN to something long and random (`openssl rand -hex 16`), "
            "give --token-file, or, behind a proxy that asks who comes, --no-auth.",
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadInput(
            "The token can't be sent in a header.", remedy="Make it of ASCII letters and digits."
        )
    return token or None


@click.command()
@click.option(
    "--worker-interface",
    type=click.Choice(["process", "rabbit", "argo-workflows"]),
    help="What runs the tasks.",
)
@click.option(
    "--worker-interface-id",
    metavar="ID",
    help="The controller's own name, the same after a restart. Needed by argo-workflows.",
)
@click.option(
    "--path-to-scripts", metavar="FOLDER", type=click.Path(path_type=Path), help="Of process."
)
@click.option(
    "--process-state",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Of process: where jobs are kept in mind; else beside the scripts.",
)
@click.option("--rabbit-queue", metavar="NAME", help="Of rabbit: what its workers consume; tasks.")
@click.option("--endpoint", metavar="URL", help="Of argo-workflows: its API.")
@click.option("--namespace", metavar="NAME", help="Of argo-workflows: Kubernetes' namespace.")
@click.option(
    "--processing-limit",
    metavar="N",
    type=click.IntRange(min=0),
    help="So many tasks are processed at a time; else 10; 0: all that wait.",
)
@click.option(
    "--resource",
    "resources",
    metavar="NAME=AMOUNT",
    multiple=True,
    help='How much there is of what tasks need ({"resources": {"gpus": 1}}). Replaces the limit.',
)
@click.option("--periodic-seconds", metavar="SECONDS", type=float, help="Between two looks; 10.")
@click.option("--once", is_flag=True, help="Look once, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print and log lines of JSON.")
@store_options
def controller(resources: tuple[str, ...], once: bool, as_json: bool, **flags: Any) -> None:
    """Start jobs for waiting tasks, and settle those that have ended, now and then.

    Ends with Ctrl-C or SIGTERM; what runs then goes on, and a controller with the same id
    takes it up again. Any number of controllers share a queue: each settles its own jobs
    alone. If the store or the worker is out of reach it is tried again, and no task fails
    for it. `labs task-queue settings` lists what may also come from the environment.

    \b
    Scripts of a folder, four at a time; tasks are {"file_name": "work.py", "args": ["7"]}:
      labs task-queue controller --worker-interface process \\
        --path-to-scripts ./scripts --processing-limit 4

    \b
    Messages, for any number of workers that consume the queue `tasks` of a RabbitMQ:
      eval "$(labs env)" && labs task-queue controller --worker-interface rabbit

    \b
    Workflows on Argo, the tasks in PostgreSQL; tasks are {"submit_body": {…}}:
      SQL_QUEUE_CONNECTION_STRING=postgresql://me:secret@db/tasks \\
      labs task-queue controller --worker-interface argo-workflows \\
        --worker-interface-id night-shift --endpoint https://argo:2746 --namespace argo \\
        --queue-implementation sql-json --queue-name orders
    """
    from labs.stopping import Stop, signals_stop
    from labs.task_queue.configuration import open_to_serve
    from labs.task_queue.controller import check, controller_of, open_patiently

    amounts = dict(_amount(one) for one in resources) or None
    settings = settings_of(resource_limits=amounts, **flags)
    check(settings)
    tell = print_as_json if as_json else print_round
    stop = Stop()
    with logging_to_stderr(as_json), signals_stop(stop.want):
        opener = partial(open_to_serve, settings)
        queue = opener() if once else open_patiently(opener, stop)
        if queue is not None:
            with queue:
                made = controller_of(settings, queue, tell)
                if once:
                    tell(made.once())
                    return
                name = made.work_queue.controller
                say(as_json, f"Controlling as {name}. Ctrl-C ends it.", controller=name)
                made.run(stop)
        say(as_json, "Stopped; what runs goes on, and is taken up again.")


def _amount(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    try:
        return name, float(amount)
    except ValueError:
        raise BadInput(
            f"{text!r} is no NAME=AMOUNT.", remedy="Such as --resource gpus=2."
        ) from None


def print_round(look: Round) -> None:
    """One line for each task, for a person."""
    at = time.strftime("%X")
    for what in COLOURS:
        for id_ in getattr(look, what):
            click.echo(f"{at}  {click.style(f'{what:<9}', fg=COLOURS[what])}  {id_!r}")


def print_as_json(look: Round) -> None:
    """One line for each look in which something happened, or is wrong."""
    if look.is_quiet and not look.trouble:
        return
    said = {what: list(getattr(look, what)) for what in COLOURS}
    more = {"processing": look.processing, "trouble": look.trouble}
    click.echo(json.dumps({"at": round(time.time(), 3), **said, **more}))
