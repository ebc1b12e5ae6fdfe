"""The queue service's REST API: parse, one operation of the service, reply.

A request's path and method are looked up in the routes' table; `api_guard` lets it in; its route
makes an operation of it (`admission`) and an answer of what comes back. Each error is answered by
its type (`problems`), never with a traceback. A plain table and pydantic's own reading take a
tenth of what FastAPI's way through the same endpoint took, and here thousands come in a second.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labs.errors import LabError
from labs.queue_service import api_dispatch, api_looks, api_messages
from labs.queue_service.api_answers import Reply, refused
from labs.queue_service.api_desk import Asked, Desk, Service
from labs.queue_service.api_guard import Guard, Limits, no_such_method, no_such_path
from labs.queue_service.api_openapi import document
from labs.queue_service.api_routes import PREFIX, Route, Says
from labs.queue_service.auth import Authenticator
from labs.queue_service.metrics import Metrics
from labs.queue_service.page import page_router
from labs.queue_service.problems import FAILED, Refused, problem_of
from labs.task_queue.api_guard import Gone, handing

PAGE = "page"
"""Stands for all its paths, in metrics and log."""
GONE = 499
"""Nobody was there any more to be answered."""

logger = logging.getLogger(__name__)
requests = logging.getLogger("labs.queue_service.requests")
"""One line of JSON for each request, at INFO."""


def create_app(
    service: Service,
    *,
    authenticator: Authenticator | None = None,
    limits: Limits | None = None,
    page: bool = True,
    metrics: Metrics | None = None,
) -> QueueApi:
    """The API of a service, to be served.

    Args:
        authenticator: says who may do what; None: whoever can reach the server may do all.
        limits: how long, slow and frequent requests may be.
        page: whether there is a page for people at `/`.
        metrics: where numbers are counted; None: in new ones.
    """
    desk, limits = Desk(service, metrics or Metrics()), limits or Limits()
    pages = None
    if page:
        pages = page_router(desk.do, authenticator=authenticator, count=limits.count)
    return QueueApi(desk, authenticator, limits, pages)


class QueueApi:
    """An ASGI application. `stop` is for whoever serves it."""

    def __init__(
        self,
        desk: Desk,
        authenticator: Authenticator | None,
        limits: Limits,
        pages: ASGIApp | None = None,
    ) -> None:
        self._desk, self._pages = desk, pages
        self._guard = Guard(authenticator, limits)
        self._challenges = authenticator.challenges if authenticator else ()
        routes = (*api_messages.ROUTES, *api_dispatch.ROUTES, *api_looks.ROUTES)
        self._document = json.dumps(document(routes, self._challenges)).encode()
        self._routes = _by_path((*routes, self._openapi()))

    def stop(self) -> None:
        """Say that it is not ready, and let nobody wait any more. From any thread."""
        self._desk.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        begun = time.perf_counter()
        path: str = scope["path"]
        ways = self._routes.get(path) or self._routes.get(_without_slash(path))
        route = ways.get(scope["method"]) if ways else None
        pattern = route.path if route else ""
        status, subject = GONE, ""
        try:
            if elsewhere := self._guard.elsewhere(scope):
                status = await _send(refused(elsewhere), send)
            elif route is not None:
                reply, subject = await self._reply(route, scope, receive)
                status = await _send(reply, send)
            elif ways:
                status = await _send(refused(no_such_method(", ".join(ways))), send)
            elif self._pages is None or path.startswith(f"{PREFIX}/") or path == "*":
                status = await _send(refused(no_such_path()), send)
            else:
                pattern = PAGE
                status = await self._show(self._pages, scope, receive, send)
        except Gone:
            pass
        finally:
            seconds = time.perf_counter() - begun
            method = _known(scope["method"])
            self._desk.metrics.answered(method, pattern, status, seconds)
            if requests.isEnabledFor(logging.INFO):
                requests.info(_line(scope, method, pattern, status, seconds, subject))

    async def _show(self, pages: ASGIApp, scope: Scope, receive: Receive, send: Send) -> int:
        """Let the page answer; what its answer's status is."""
        status = 0

        async def told(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            length = dict(scope["headers"]).get(b"content-length", b"")
            body = await self._guard.body(length, receive) if scope["method"] == "POST" else b""
            await pages(scope, handing(body, receive), told)
        except Refused as refusal:
            return await _send(refused(refusal.problem), send)
        except Gone:
            raise
        except Exception:
            if status:
                raise
            logger.exception("The page %s failed.", scope["method"])
            return await _send(refused(FAILED), send)
        return status

    async def _reply(self, route: Route, scope: Scope, receive: Receive) -> tuple[Reply, str]:
        """The answer, and who has asked, as far as it is known."""
        subject = ""
        try:
            asked = await self._guard.let_in(route, scope, receive)
            subject = asked.principal.subject
            return await route.does(self._desk, asked), subject
        except Refused as refusal:
            return refused(refusal.problem), subject
        except LabError as error:
            problem = problem_of(error, self._challenges)
            if problem is FAILED:
                logger.exception("%s %s failed.", route.method, route.path)
            return refused(problem), subject
        except Gone:
            raise
        except Exception:  # whatever was not thought of: one request fails, and the log says why
            logger.exception("%s %s failed.", route.method, route.path)
            return refused(FAILED), subject

    def _openapi(self) -> Route:
        async def does(desk: Desk, asked: Asked) -> Reply:  # noqa: ARG001 - as all endpoints
            return Reply(200, self._document)

        return Route(
            method="GET",
            path="/openapi.json",
            does=does,
            about="What there is.",
            open=True,
            answers={200: Says("An OpenAPI document")},
        )


def _by_path(routes: tuple[Route, ...]) -> Mapping[str, Mapping[str, Route]]:
    """Path -> method -> route; HEAD wherever GET is."""
    found: dict[str, dict[str, Route]] = {}
    for route in routes:
        ways = found.setdefault(route.path, {})
        ways[route.method] = route
        if route.method == "GET":
            ways["HEAD"] = route
    return found


def _without_slash(path: str) -> str:
    return path[:-1] if path.endswith("/") else path


async def _send(reply: Reply, send: Send) -> int:
    """Send it; its status."""
    headers = [
        (b"content-type", reply.media_type.encode()),
        (b"content-length", b"%d" % len(reply.body)),
        (b"cache-control", b"no-store"),
    ]
    for name, value in reply.headers:
        headers.append((name.lower().encode(), value.encode("latin-1")))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
    return reply.status


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


def _known(method: str) -> str:
    """For a metric: whoever makes methods up makes no lines of them."""
    return method if method in _METHODS else "other"


def _line(
    scope: Scope, method: str, pattern: str, status: int, seconds: float, subject: str
) -> str:
    """What the log has of a request: nothing that a header, a query or a body says."""
    client = scope.get("client")
    return json.dumps(
        {
            "method": method,
            "route": pattern,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "subject": subject,
            "client": client[0] if client else "",
        }
    )
