"""`labs queue-service serve`: the service itself, until it is told to stop.

Who may come in is decided here, once: on this machine alone everybody may, if nothing says
otherwise; where other machines can reach it, nobody may without a token or a password.
"""

from __future__ import annotations

import gc
import logging
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labs.cli.queue_service_access import lab_folder, own_pair
from labs.cli.queue_service_wiring import CONFIG, settings_of
from labs.cli.task_queue_wiring import logging_to_stderr, say
from labs.errors import BadInput

if TYPE_CHECKING:
    from labs.queue_service.api_guard import Limits
    from labs.queue_service.configuration import QueueServiceSettings

OPEN = "Everybody on this machine may use it: --own-keys would ask for tokens."
WIDE_OPEN = "Everybody who can reach it may use it."
UNENCRYPTED = (
    "It speaks plain HTTP: others on the way can read the tokens. --certificate cures that."
)

SWITCH_S = 0.02
COLLECT_AFTER = 20_000


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

    Several servers share a PostgreSQL: each does all, and one that dies is not missed. A SQLite
    file is for one server.

    \b
    Examples:
      labs queue-service serve
      labs queue-service serve --own-keys --port 8443 --certificate cert.pem
      QUEUE_SERVICE_STORE=postgresql://me:secret@db/builds \\
        labs queue-service serve --host 0.0.0.0 --public-key https://id.example/keys.json
      curl -s localhost:8002/v1/queue/message -H 'Content-Type: application/json' \\
        -d '{"buildId": 1, "jobId": 777, "blockedBy": [777]}'
      curl -s localhost:8002/v1/queue/stats
      curl -s localhost:8002/openapi.json
    """
    from labs.queue_service.api import create_app
    from labs.queue_service.configuration import authenticator_of
    from labs.queue_service.server import serving
    from labs.queue_service.service import QueueService
    from labs.stopping import Stop, signals_stop
    from labs.task_queue.controller import open_patiently

    flags |= {"listen_host": host, "listen_port": port, "public_keys": public_keys or None}
    settings = settings_of(config, **flags)
    if own_keys:
        keys = (*settings.public_keys, str(own_pair()[1]))
        settings = settings.model_copy(update={"public_keys": keys})
    _who_may(settings, no_auth)
    authenticator = None if no_auth else authenticator_of(settings)
    store = _store(settings)
    opener = partial(
        QueueService.at,
        store,
        settings.name,
        keep=settings.keep,
        max_waiting=settings.max_waiting,
    )
    stop = Stop()
    requests = logging.getLogger("labs.queue_service.requests")
    requests.setLevel(logging.INFO if log_requests else logging.NOTSET)
    with logging_to_stderr(as_json), signals_stop(stop.want):
        service = open_patiently(opener, stop)
        if service is not None:
            _let_threads_work()
            limits = _limits(settings, open_=authenticator is None)
            app = create_app(service, authenticator=authenticator, limits=limits, page=not no_page)
            here = settings.listen_host, settings.listen_port
            pem, key = settings.certificate, settings.certificate_key
            with service.start_ticking(), serving(app, *here, certificate=pem, key=key) as url:
                what = f"Serving a queue service ({service.store.database.place}) at {url}."
                say(as_json, f"{what} {_manners(settings, authenticator is not None)}", url=url)
                stop.wait()
                say(as_json, "Stopping: what is being answered is answered.")
        say(as_json, "Stopped.")


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


def _limits(settings: QueueServiceSettings, *, open_: bool) -> Limits:
    from labs.queue_service.api_guard import Limits
    from labs.queue_service.limits import RateLimit
    from labs.task_queue.api_server import local_hosts

    rate = None
    if settings.rate_per_s:
        rate = RateLimit(settings.rate_per_s, settings.rate_burst)
    return Limits(
        max_body_bytes=settings.max_body_bytes,
        rate=rate,
        hosts=local_hosts(settings.listen_host) if open_ else None,
    )


def _let_threads_work() -> None:
    """Settings of this process, which does nothing else than serve.

    The thread of the event loop and the one that writes take Python's lock from each other less
    often, and old objects are looked through for garbage less often: half as many requests more.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)
