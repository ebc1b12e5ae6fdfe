"""How the task queue's server answers, whatever it is asked.

Requests are read as strict JSON: NaN is none, nor half a character. Answers are ASCII, so that
each body goes out as it came in. `Desk` is what all endpoints share.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn

from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from labs.errors import LabError
from labs.task_queue.api_metrics import Metrics
from labs.task_queue.api_shapes import BadRequest, Problem, problem_json, status_of
from labs.task_queue.api_waiting import Bell
from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.queue import TaskQueue
from labs.task_queue.tasks import Json

logger = logging.getLogger(__name__)

PREFIX = "/api/v1/queue"

Responses = dict[int | str, dict[str, Any]]
BAD_REQUEST: Responses = {422: {"model": BadRequest, "description": "Not as it must be"}}
AWAY: Responses = {503: {"model": Problem, "description": "The store does not answer"}}
ALWAYS: Responses = {
    400: {"model": Problem, "description": "The address is no UTF-8"},
    421: {"model": Problem, "description": "The server has not the name that Host says"},
    **BAD_REQUEST,
    **AWAY,
}
WITH_BODY: Responses = {
    **ALWAYS,
    408: {"model": Problem, "description": "The body took too long"},
    413: {"model": Problem, "description": "The body is too long"},
}
UNAUTHORISED: Responses = {
    401: {
        "model": Problem,
        "description": "No token, or another one",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    }
}


class Answer(Response):
    """JSON in ASCII: a body may hold what UTF-8 can't write, as `\\ud800` in its text."""

    media_type = "application/json"

    def render(self, content: Json) -> bytes:
        """The bytes."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class Desk:
    """What all endpoints share."""

    def __init__(self, queue: TaskQueue) -> None:
        self.queue = queue
        self.bell = Bell(queue)
        self.metrics = Metrics(queue)
        self._away = False

    def store_answers(self) -> None:
        """Say in the log that it is back, if it was away."""
        if self._away:
            self._away = False
            logger.warning("The store answers again.")

    def store_is_away(self, error: LabError) -> None:
        """Say in the log that it is away: once, not for each request."""
        if not self._away:
            self._away = True
            logger.warning("The store does not answer; requests get 503 meanwhile. %s", error)

    def answer(
        self, content: Json, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Answer with what the store has said."""
        self.store_answers()
        return Answer(content, status, headers=headers)


class StrictRoute(APIRoute):
    """A route whose requests are read as strict JSON, and whose path ends where it ends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # An id may hold line breaks. The usual `.` stops at one, and the usual `$` passes over
        # one at the end: the task `a` would be found where `a` and a line break was asked for.
        whole = self.path_regex.pattern.removesuffix("$") + r"\Z"
        self.path_regex = re.compile(whole, re.DOTALL)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler, given a stricter request."""
        usual = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await usual(_StrictRequest(request.scope, request.receive))

        return handler


class _StrictRequest(Request):
    async def json(self) -> Any:
        """The body, if it is JSON in UTF-8; FastAPI makes a 422 of what is raised here."""
        body = await self.body()
        try:
            return json.loads(body.decode(), parse_constant=_no_constant)
        except json.JSONDecodeError:
            raise
        except RecursionError:
            raise json.JSONDecodeError("it is nested too deep", "", 0) from None
        except ValueError as error:  # no UTF-8, NaN, a number of too many digits
            raise json.JSONDecodeError(str(error), "", 0) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def strict_router(*, token: bool) -> APIRouter:
    """A router of strict routes; the guard asks for the token, this says so in the document."""
    return APIRouter(
        prefix=PREFIX,
        route_class=StrictRoute,
        dependencies=[Security(HTTPBearer(auto_error=False))] if token else [],
        responses=UNAUTHORISED if token else {},
    )


def reads(
    api: APIRouter, path: str, **options: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register an endpoint that only looks: for GET, and for HEAD."""

    def register(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        api.add_api_route(path, endpoint, methods=["GET"], **options)
        api.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        return endpoint

    return register


def answer_errors(app: FastAPI, desk: Desk) -> None:
    """Let each error be answered by its type."""

    @app.exception_handler(LabError)
    def refused(_: Request, error: LabError) -> Response:
        if isinstance(error, StoreUnreachable):
            desk.store_is_away(error)
        status = status_of(error)
        return Answer(problem_json(error), status, headers=_again_later(status))

    @app.exception_handler(RequestValidationError)
    def not_as_it_must_be(_: Request, error: RequestValidationError) -> Response:
        wrong = [
            {
                "loc": list(one["loc"]),
                "msg": f"{one['msg']}: {why}" if (why := _why(one)) else one["msg"],
                "type": one["type"],
            }
            for one in error.errors()
        ]
        remedy = "The document at /openapi.json says what each request may hold."
        return Answer({"detail": wrong[:20], "kind": "BadTask", "remedy": remedy}, 422)

    @app.exception_handler(HTTPException)
    def no_such_thing(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if headers.get("Allow") == "GET" and "/queue/get/" not in request.url.path:
            headers["Allow"] = "GET, HEAD"
        kind = {404: "NoSuchPath", 405: "NoSuchMethod"}.get(error.status_code, "BadRequest")
        remedy = "The document at /openapi.json says what there is."
        said = {"detail": str(error.detail), "kind": kind, "remedy": remedy}
        return Answer(said, error.status_code, headers=headers)

    @app.exception_handler(Exception)
    def failed(_: Request, __: Exception) -> Response:
        said = {
            "detail": "The server failed.",
            "kind": "ServerFailed",
            "remedy": "Its log says why. Whether the verb was carried out is open.",
        }
        return Answer(said, 500)


def _why(error: Mapping[str, Any]) -> str:
    """What is said besides of text that is no JSON."""
    return str(error.get("ctx", {}).get("error", "")) if error["type"] == "json_invalid" else ""


def _again_later(status: int) -> dict[str, str]:
    return {"Retry-After": "1"} if status == 503 else {}
