"""What `labs queue-service serve` runs: one server in this process, or several at one port.

All that they need is in a `Plan`, which is checked before anything is opened. Of several, each is
a process of its own that does what a single one does; this one opens the port and looks after them.
"""

from __future__ import annotations

import gc
import logging
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labs.cli.task_queue_wiring import logging_to_stderr, say
from labs.errors import LabError
from labs.stopping import Stop, signals_stop

if TYPE_CHECKING:
    from labs.queue_service.api_guard import Limits
    from labs.queue_service.configuration import QueueServiceSettings
    from labs.queue_service.serving_process import Place

STOPPING = "Stopping: what is being answered is answered."
SWITCH_S = 0.02
COLLECT_AFTER = 20_000


class NoFolder(LabError):
    """Raised when there is nowhere to count together."""


@dataclass(frozen=True)
class Plan:
    """What is to be served, how, and to whom."""

    settings: QueueServiceSettings
    store: str
    """Its URL, which may hold a password."""
    manners: str
    """What is said of who may come in."""
    no_auth: bool
    page: bool
    log_requests: bool
    as_json: bool

    def __repr__(self) -> str:
        return f"<Plan of {self.settings.name!r}>"

    def say(self, what: str, **more: object) -> None:
        """Tell whoever has started it."""
        say(self.as_json, what, **more)


def serve_alone(plan: Plan) -> None:
    """Serve in this process, until a signal.

    Raises:
        LabError: it can't be served.
    """
    stop = Stop()
    with logging_to_stderr(plan.as_json), signals_stop(stop.want):
        with _serving(plan, stop) as served:
            if served is not None:
                place, url = served
                plan.say(f"Serving a queue service ({place}) at {url}. {plan.manners}", url=url)
                stop.wait()
                plan.say(STOPPING)
        plan.say("Stopped.")


def serve_together(plan: Plan) -> None:
    """Let several processes serve at one port, until a signal.

    Raises:
        LabError: the port can't be had, or nothing be served.
    """
    from labs.queue_service.processes import Processes
    from labs.queue_service.server import deafen, opened
    from labs.task_queue.api_server import url_of

    settings, stop = plan.settings, Stop()
    with (
        logging_to_stderr(plan.as_json, one_of_several=True),
        signals_stop(stop.want),
        opened(settings.listen_host, settings.listen_port) as door,
        _folder() as together,
    ):
        body = partial(_serve_in, plan, together, door.fileno())
        stopping = partial(deafen, door)
        with Processes(
            settings.processes, body, inherited=[door.fileno()], stopping=stopping
        ) as processes:
            if processes.start(stop):
                url = url_of(door, settings.listen_host, https=settings.certificate is not None)
                what = f"Serving a queue service by {settings.processes} processes at {url}."
                plan.say(f"{what} {plan.manners}", url=url, processes=processes.pids)
                processes.look_after(stop)
                plan.say(STOPPING)
        plan.say("Stopped.")


def _serve_in(plan: Plan, together: Path, door: int, place: Place) -> None:
    """Serve in a process that is one of several.

    Args:
        together: the folder in which they count.
        door: the port, as the parent has opened it.
    """
    from labs.queue_service.metrics import count_together
    from labs.queue_service.server import deafen

    count_together(together, place.number)
    place.tidy_up = partial(shutil.rmtree, together, ignore_errors=True)
    with logging_to_stderr(plan.as_json, one_of_several=True):
        opened = socket.socket(fileno=door)
        with _serving(plan, place.stop, opened, together) as served:
            if served is not None:
                place.serves()
                place.stop.wait()
                if place.is_alone:
                    deafen(opened)


@contextmanager
def _serving(
    plan: Plan, stop: Stop, door: socket.socket | None = None, together: Path | None = None
) -> Iterator[tuple[str, str] | None]:
    """Serve within this block; gives where the store is, and the URL. None: `stop` came first."""
    from labs.queue_service.api import create_app
    from labs.queue_service.configuration import authenticator_of
    from labs.queue_service.metrics import Metrics
    from labs.queue_service.server import serving
    from labs.queue_service.service import QueueService
    from labs.task_queue.controller import open_patiently

    settings = plan.settings
    authenticator = None if plan.no_auth else authenticator_of(settings)
    requests = logging.getLogger("labs.queue_service.requests")
    requests.setLevel(logging.INFO if plan.log_requests else logging.NOTSET)
    opener = partial(
        QueueService.at,
        plan.store,
        settings.name,
        keep=settings.keep,
        max_waiting=settings.max_waiting,
    )
    service = open_patiently(opener, stop)
    if service is None:
        yield None
        return
    _let_threads_work()
    app = create_app(
        service,
        authenticator=authenticator,
        limits=_limits(settings, open_=authenticator is None),
        page=plan.page,
        metrics=Metrics(together),
    )
    here = settings.listen_host, settings.listen_port
    pem, key = settings.certificate, settings.certificate_key
    with (
        service.start_ticking(),
        serving(app, *here, certificate=pem, key=key, door=door) as url,
    ):
        yield service.store.database.place, url


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for as long as the block lasts."""
    try:
        made = Path(tempfile.mkdtemp(prefix="queue-service-"))
    except OSError as error:
        raise NoFolder(
            f"Several processes count together in a folder, and none can be made: {error}.",
            remedy="Let TMPDIR name a folder in which there is room; or serve with one process.",
        ) from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


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
