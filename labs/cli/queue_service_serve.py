"""`labs queue-service serve`: the service itself, until it is told to stop.

Who may come in is decided here, once: on this machine alone everybody may, if nothing says
otherwise; where other machines can reach it, nobody may without a token or a password.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labs.cli.queue_service_access import lab_folder, own_pair
from labs.cli.queue_service_server import Plan, serve_alone, serve_together
from labs.cli.queue_service_wiring import CONFIG, settings_of
from labs.errors import BadInput

if TYPE_CHECKING:
    from labs.queue_service.configuration import QueueServiceSettings

OPEN = "Everybody on this machine may use it: --own-keys would ask for tokens."
WIDE_OPEN = "Everybody who can reach it may use it."
UNENCRYPTED = (
    "It speaks plain HTTP: others on the way can read the tokens. --certificate cures that."
)


@click.command()
@click.option(
    "--store",
    metavar="URL",
    help="postgresql://… or sqlite:///path; else a SQLite file of the lab's own. Others on this "
    "machine can see flags: rather set QUEUE_SERVICE_STORE.",
)
@click.option("--name", metavar="NAME", help="The queue in the database; else builds.")
@click.option("--keep-days", metavar="DAYS", type=float, help="Keep what has ended; else 7.")
@click.option("--host", metavar="ADDRESS", help="Where to listen; else 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="On which port; else 8002; 0: any.")
@click.option(
    "--processes", metavar="N", type=int, help="So many serve at the port; else 1. See below."
)
@click.option("--certificate", type=click.Path(path_type=Path), help="A PEM file: speak HTTPS.")
@click.option(
    "--certificate-key", type=click.Path(path_type=Path), help="Its key, if that is a file apart."
)
@click.option(
    "--public-key",
    "public_keys",
    metavar="KEY",
    multiple=True,
    help="Ask for tokens, checked by this: a file (PEM or JWKS) or the address of a JWKS. Any "
    "number of them.",
)
@click.option(
    "--own-keys", is_flag=True, help="Ask for tokens signed by the lab's own key, made if need be."
)
@click.option("--algorithm", metavar="NAME", help="With which tokens are signed; else RS256.")
@click.option(
    "--audience", metavar="NAME", help="Of tokens (aud); else queue-service; none: they have none."
)
@click.option("--issuer", metavar="NAME", help="Of tokens (iss); else any.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="Ask for a name and a password: `labs queue-service password` writes it.",
)
@click.option("--no-auth", is_flag=True, help="Let everybody in, beyond this machine too.")
@click.option(
    "--max-body", "max_body_bytes", metavar="BYTES", type=int, help="A longer request is refused."
)
@click.option(
    "--max-waiting", metavar="N", type=int, help="So many requests wait; more are put off."
)
@click.option("--rate-per-s", metavar="N", type=float, help="So many requests a second of each.")
@click.option("--rate-burst", metavar="N", type=float, help="So many at once, after a rest.")
@click.option("--no-page", is_flag=True, help="Without the page for people at /.")
@click.option("--log-requests", is_flag=True, help="Log each request, as a line of JSON.")
@click.option("--json", "as_json", is_flag=True, help="Log lines of JSON.")
@CONFIG
def serve(
    config: Path | None,
    host: str | None,
    port: int | None,
    public_keys: tuple[str, ...],
    own_keys: bool,
    no_auth: bool,
    no_page: bool,
    log_requests: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Serve the REST API under /v1, and a page for people at /, until Ctrl-C or SIGTERM.

    On this machine alone (the usual) everybody may use it. Beyond it, or if you say so, it asks
    for a token (--public-key, --own-keys) or a password (--password-file). While the store is
    away, requests get 503; the server stays. Asked to stop, it answers what it is answering.

    One process keeps about one core busy. On PostgreSQL, --processes N serves by as many as
    there are cores to spare, at one port: one that dies is replaced, and /metrics tells the sum.
    Each counts by itself for --max-waiting and --rate-per-s, so that up to N times as much
    comes through, and has connections of its own to the database.

    Several servers, on several machines too, share a PostgreSQL: each does all, and one that dies
    is not missed. A SQLite file is for one server of one process.

    \b
    Examples:
      labs queue-service serve
      labs queue-service serve --own-keys --port 8443 --certificate cert.pem
      QUEUE_SERVICE_STORE=postgresql://me:secret@db/builds \\
        labs queue-service serve --processes 4 --host 0.0.0.0 --public-key https://id.example/keys.json
      curl -s localhost:8002/v1/queue/message -H 'Content-Type: application/json' \\
        -d '{"buildId": 1, "jobId": 777, "blockedBy": [777]}'
      curl -s localhost:8002/v1/queue/stats
      curl -s localhost:8002/openapi.json
    """
    flags |= {"listen_host": host, "listen_port": port, "public_keys": public_keys or None}
    settings = settings_of(config, **flags)
    if own_keys:
        keys = (*settings.public_keys, str(own_pair()[1]))
        settings = settings.model_copy(update={"public_keys": keys})
    _who_may(settings, no_auth)
    plan = Plan(
        settings=settings,
        store=_store(settings),
        manners=_manners(settings, settings.asks_who_comes and not no_auth),
        no_auth=no_auth,
        page=not no_page,
        log_requests=log_requests,
        as_json=as_json,
    )
    if settings.processes == 1:
        serve_alone(plan)
        return
    if plan.store.startswith("sqlite"):
        raise BadInput(
            f"{settings.processes} processes can't serve a SQLite file: it is for one.",
            remedy="Let --store name a PostgreSQL, or leave --processes at 1.",
        )
    serve_together(plan)


def _who_may(settings: QueueServiceSettings, no_auth: bool) -> None:
    """Refuse to let everybody in from everywhere."""
    from labs.task_queue.api_server import is_loopback

    if settings.asks_who_comes or no_auth or is_loopback(settings.listen_host):
        return
    raise BadInput(
        f"A server at {settings.listen_host} can be reached from other machines, and nothing "
        "keeps strangers out.",
        remedy="Ask for tokens (--own-keys, or --public-key) or for passwords (--password-file); "
        "or, behind a proxy that asks who comes, say --no-auth.",
    )


def _manners(settings: QueueServiceSettings, asks: bool) -> str:
    """What one should know who may come in."""
    from labs.task_queue.api_server import is_loopback

    here = is_loopback(settings.listen_host)
    if asks and not here and settings.certificate is None:
        return UNENCRYPTED
    if not asks:
        return OPEN if here else WIDE_OPEN
    return "Ctrl-C ends it."


def _store(settings: QueueServiceSettings) -> str:
    """The database's URL; a file of the lab's own, if none is named."""
    if settings.store is not None:
        return settings.store.get_secret_value()
    return f"sqlite:///{lab_folder() / 'builds.db'}"
