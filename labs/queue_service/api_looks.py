"""The routes that look at the server itself: whether it lives, takes requests, and its numbers.

`/v1/status` says that the process is alive, whatever its store does; `/v1/ready` that requests
are taken: not while the store is away or its disk full, nor when the server is about to stop. The
metrics are open to this machine alone; from elsewhere a token is needed.
"""

from __future__ import annotations

from contextlib import suppress

from labs.errors import LabError
from labs.queue_service import admission
from labs.queue_service.api_answers import TEXT, Ready, Reply, said
from labs.queue_service.api_desk import Asked, Desk
from labs.queue_service.api_routes import PREFIX, Route, Says
from labs.queue_service.messages import Stats
from labs.queue_service.metrics import CONTENT_TYPE
from labs.queue_service.operations import GetStats

METRICS = "/metrics"


async def status(desk: Desk, asked: Asked) -> Reply:  # noqa: ARG001 - as all endpoints
    """The process lives."""
    return Reply(200, b"OK", TEXT)


async def ready(desk: Desk, asked: Asked) -> Reply:
    """Requests are taken."""
    admission.nothing(asked.query())
    await desk.ready()
    return said(Ready(True))


async def metrics(desk: Desk, asked: Asked) -> Reply:
    """Numbers; without those of the queue, if the store is away."""
    admission.nothing(asked.query())
    stats: Stats | None = None
    with suppress(LabError):
        stats = await desk.do(GetStats())
    return Reply(200, desk.metrics.text(stats), CONTENT_TYPE)


ROUTES = (
    Route(
        method="GET",
        path=f"{PREFIX}/status",
        does=status,
        about="Whether the process is alive.",
        open=True,
        answers={200: Says("It is", str, TEXT)},
        store=False,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/ready",
        does=ready,
        about="Whether requests are taken.",
        open=True,
        answers={200: Says("They are", Ready)},
    ),
    *(
        Route(
            method="GET",
            path=path,
            does=metrics,
            about="Numbers, as Prometheus reads them.",
            open_here=True,
            answers={200: Says("Text", str, CONTENT_TYPE)},
            store=False,
        )
        for path in (METRICS, f"{PREFIX}{METRICS}")
    ),
)
