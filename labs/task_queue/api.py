"""The task queue's REST API, over any store: parse, one call of the queue, reply.

The known paths are in `api_known`, what goes beyond them in `api_verbs`; `api_guard` stands
before both (token, size, time), `api_shapes` is what goes over the wire. Endpoints are plain
functions, which run in threads: a store that makes one wait keeps nobody else from an answer.
An error is answered by its type, with its kind, its sentence and its remedy; never a traceback.
"""

from __future__ import annotations

from fastapi import FastAPI

from labs.task_queue import api_known, api_verbs
from labs.task_queue.api_answers import Desk, answer_errors
from labs.task_queue.api_guard import BODY_WITHIN_S, MAX_BODY_BYTES, Guard
from labs.task_queue.queue import TaskQueue

ABOUT = """Tasks move through stages: WAITING (0), PROCESSING (1), SUCCESS (2), FAIL (3).

Claim with a lease, and settle with the claim's `owner` and `move`: then a worker that dies loses
nothing, and one that was too slow can't settle what is another's by now.
"""


def create_app(
    queue: TaskQueue,
    *,
    token: str | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    body_within_s: float = BODY_WITHIN_S,
    hosts: frozenset[bytes] | None = None,
) -> FastAPI:
    """The API of a queue. `app.state.bell.close()` lets nobody wait any more, before a stop.

    Args:
        token: what everybody must bring, but for the health; None lets all in.
        max_body_bytes: a longer body is answered with 413.
        body_within_s: a body that takes longer to arrive is answered with 408.
        hosts: by which names the server may be asked for, ports aside (else 421); None: any.
    """
    app = FastAPI(
        title="Task queue",
        description=ABOUT,
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    desk = Desk(queue)
    app.state.bell = desk.bell
    wants_token = token is not None
    for router in (
        api_known.router(desk, token=wants_token),
        api_verbs.router(desk, token=wants_token),
        api_verbs.open_router(desk),
    ):
        # Not by include_router, which reads the paths anew, less strictly.
        app.router.routes.extend(router.routes)
    answer_errors(app, desk)
    app.add_middleware(
        Guard,
        token=token,
        max_body_bytes=max_body_bytes,
        body_within_s=body_within_s,
        tell=desk.metrics.tell,
        hosts=hosts,
    )
    return app
