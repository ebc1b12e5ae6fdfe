"""The known paths of the task queue's REST API, with the known answers, word for word.

An unknown id and an unknown stage are answered 400 here, as clients expect; what is skipped
is said in the answer's `detail`. Where an id stands in the path, it may also be given as
`?id=`, for proxies that tidy up slashes and dots. `get` by GET is for old clients: it moves
tasks, so caches, retries and crawlers lose them; claim by POST instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field
from starlette.responses import StreamingResponse

from labs.task_queue.api_answers import ALWAYS, WITH_BODY, Answer, Desk, reads, strict_router
from labs.task_queue.api_shapes import (
    MAX_ITEMS,
    Described,
    Id,
    Item,
    KnownProblem,
    Pair,
    Sizes,
    Skipped,
)
from labs.task_queue.errors import UnknownTask
from labs.task_queue.queue import ALREADY, NOT_FAILED
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import LONGEST_DELAY_S, LONGEST_ID, PRIORITIES, Json, Page

DEPRECATED = {
    "Deprecation": "@1767225600",  # of the first day of 2026, as RFC 9745 writes it
    "Link": '</api/v1/queue/claim>; rel="successor-version"',
}
CLASSES: Mapping[str, str] = {
    "memory": "InMemoryQueue",
    "sql": "SQLQueue",
    "s3": "JsonS3Queue",
    "event": "QueueWithEvents",
}
"""`implementation` of a description -> the name that known clients see."""
ARGUMENTS: Mapping[str, str] = {"engine_url": "connection_string", "s3_path": "s3_base_path"}

StageName = Annotated[str, Path(json_schema_extra={"enum": [stage.name for stage in Stage]})]
StageNumber = Annotated[int, Field(ge=0, le=3)]
PathId = Annotated[str, Path(min_length=1, max_length=LONGEST_ID, description="percent-encoded")]
QueryId = Annotated[str, Query(alias="id", min_length=1, max_length=LONGEST_ID)]
Count = Annotated[int, Path(ge=1, le=MAX_ITEMS)]
Seconds = Query(ge=0, le=LONGEST_DELAY_S, allow_inf_nan=False)
UNKNOWN = {
    **ALWAYS,
    400: {"model": KnownProblem, "description": "It is not in the queue; or no UTF-8"},
}
NO_STAGE = {
    **ALWAYS,
    400: {"model": KnownProblem, "description": "There is no such stage"},
}


def router(desk: Desk, *, token: bool) -> APIRouter:
    """The known paths."""
    api = strict_router(token=token)
    _add_looks(api, desk)
    _add_lookups(api, desk)
    _add_moves(api, desk)
    return api


def _add_looks(api: APIRouter, desk: Desk) -> None:
    @reads(api, "/size/{queue_item_stage}", response_model=int, responses=NO_STAGE)
    def size(queue_item_stage: StageName) -> Response:
        """How many tasks are in a stage."""
        if queue_item_stage not in Stage.__members__:
            return _no_stage(queue_item_stage)
        return desk.answer(desk.queue.size(Stage[queue_item_stage]))

    @reads(api, "/sizes", response_model=Sizes, responses=ALWAYS)
    def sizes() -> Response:
        """How many tasks are in each stage."""
        return desk.answer(desk.queue.sizes())

    @reads(api, "/lookup_state/{queue_item_stage}", response_model=list[str], responses=NO_STAGE)
    def lookup_state(
        queue_item_stage: StageName,
        limit: Annotated[int | None, Query(ge=1, le=MAX_ITEMS)] = None,
        after: Annotated[str | None, Query(description="from the Link header")] = None,
    ) -> Response:
        """The ids of the tasks in a stage: all of them, or, with `limit`, a page.

        The header `Link` of a page has the address of the next one, `rel="next"`; the last has
        none.
        """
        if queue_item_stage not in Stage.__members__:
            return _no_stage(queue_item_stage)
        stage = Stage[queue_item_stage]
        page = desk.queue.lookup_state(stage, limit=limit or MAX_ITEMS, after=after)
        if limit is None:
            desk.store_answers()
            return StreamingResponse(_all_ids(desk, stage, page), media_type="application/json")
        query = urlencode({"limit": limit, "after": page.next})
        link = f'</api/v1/queue/lookup_state/{stage.name}?{query}>; rel="next"'
        return desk.answer(page, headers={} if page.next is None else {"Link": link})

    @reads(api, "/describe", response_model=Described, responses=ALWAYS)
    def describe() -> Response:
        """What kind of queue it is, and where; no secrets."""
        said = dict(desk.queue.description())
        kind = str(said.pop("implementation"))
        arguments = {ARGUMENTS.get(name, name): value for name, value in said.items()}
        return desk.answer({"implementation": CLASSES.get(kind, kind), "arguments": arguments})


def _add_lookups(api: APIRouter, desk: Desk) -> None:
    def status_of(id_: str) -> Response:
        try:
            return desk.answer(desk.queue.lookup_status(id_))
        except UnknownTask:
            return _not_in_queue(id_)

    def item_of(id_: str) -> Response:
        try:
            return desk.answer(desk.queue.lookup_item(id_))
        except UnknownTask:
            return _not_in_queue(id_)

    @reads(api, "/status", response_model=StageNumber, responses=UNKNOWN)
    def lookup_status_by_query(id_: QueryId) -> Response:
        """The stage in which a task is, as a number; any id can be given so."""
        return status_of(id_)

    @reads(api, "/status/{item_id:path}", response_model=StageNumber, responses=UNKNOWN)
    def lookup_status(item_id: PathId) -> Response:
        """The stage in which a task is, as a number."""
        return status_of(item_id)

    @reads(api, "/lookup_item", response_model=Item, responses=UNKNOWN)
    def lookup_item_by_query(id_: QueryId) -> Response:
        """A task's id, stage and body; any id can be given so."""
        return item_of(id_)

    @reads(api, "/lookup_item/{item_id:path}", response_model=Item, responses=UNKNOWN)
    def lookup_item(item_id: PathId) -> Response:
        """A task's id, stage and body."""
        return item_of(item_id)


def _add_moves(api: APIRouter, desk: Desk) -> None:
    @api.get(
        "/get/{n_items}",
        response_model=list[Pair],
        responses=ALWAYS,
        deprecated=True,
        summary="Claim tasks: use POST /claim",
    )
    def get(n_items: Count) -> Response:
        """Claim tasks, held until they are settled. For old clients: it moves tasks by GET."""
        claims = desk.queue.get(n_items)
        desk.metrics.handled("claim", len(claims))
        return desk.answer(claims, headers=DEPRECATED)

    @api.post("/put", response_model=Skipped | None, responses=WITH_BODY)
    def put(
        items: Annotated[dict[Id, Any], Body(examples=[{"task-1": {"n": 1}}])],
        priority: Annotated[int, Query(ge=PRIORITIES[0], le=PRIORITIES[-1])] = 0,
        delay_s: Annotated[float, Seconds] = 0.0,
        max_attempts: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
        backoff_s: Annotated[float, Seconds] = 1.0,
    ) -> Response:
        """Add tasks. Ids that are there already are skipped, and named in the answer."""
        done = desk.queue.put_quietly(
            items,
            priority=priority,
            delay_s=delay_s,
            max_attempts=max_attempts,
            backoff_s=backoff_s,
        )
        desk.metrics.handled("put", len(done.added))
        return desk.answer(_skipped(ALREADY.format(id_) for id_ in done.present))

    @api.post("/requeue", response_model=Skipped | None, responses=WITH_BODY)
    def requeue(item_ids: Annotated[Id | list[Id], Body()]) -> Response:
        """Let tasks that have failed wait again. Others are skipped, and named in the answer."""
        moved, skipped = desk.queue.requeue_quietly(item_ids)
        desk.metrics.handled("requeue", len(moved))
        return desk.answer(_skipped(NOT_FAILED.format(id_) for id_ in skipped))


def _skipped(sentences: Iterator[str]) -> Json:
    detail = list(sentences)
    return {"detail": detail} if detail else None


def _no_stage(name: str) -> Response:
    return Answer({"detail": f"{name} not a Queue Item Stage"}, 400)


def _not_in_queue(id_: str) -> Response:
    return Answer({"detail": f"{id_} not in Queue"}, 400)


def _all_ids(desk: Desk, stage: Stage, page: Page) -> Iterator[bytes]:
    """All ids as one JSON list, of which no more than a page is in memory."""
    yield b"["
    while True:
        yield bytes(Answer(page).body)[1:-1]
        if page.next is None:
            break
        page = desk.queue.lookup_state(stage, limit=MAX_ITEMS, after=page.next)
        if page:
            yield b","
    yield b"]"
