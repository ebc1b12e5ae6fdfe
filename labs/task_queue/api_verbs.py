"""What the task queue's REST API can do beyond the known paths.

A worker elsewhere claims, with a lease, and settles with the claim's `owner` and `move`, so that
it is refused once the task is another's. Of many tasks in one request each is moved by itself:
200 says which were refused; if all were, the first one's error is the answer's status.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from labs.errors import LabError
from labs.task_queue.api_answers import (
    ALWAYS,
    AWAY,
    WITH_BODY,
    Answer,
    Desk,
    Responses,
    reads,
    strict_router,
)
from labs.task_queue.api_metrics import CONTENT_TYPE
from labs.task_queue.api_shapes import (
    MAX_ITEMS,
    AllRefused,
    Claimed,
    ClaimWanted,
    ExtendWanted,
    FailWanted,
    Healthy,
    HoldWanted,
    Pair,
    Problem,
    Purged,
    Refusals,
    RefuseWanted,
    ReleaseWanted,
    SettleWanted,
    SuccessWanted,
    TaskSaid,
    claim_json,
    problem_json,
    refused_json,
    status_of,
    task_json,
)
from labs.task_queue.errors import StoreUnreachable, TaskError
from labs.task_queue.tasks import LONGEST_ID, Claim, Fail, Hold, Success

HEALTH_WITHIN_S = 3.0
LONGEST_AGE_S = timedelta.max.days * 86_400
NOT_MOVED: Responses = {
    **WITH_BODY,
    404: {"model": AllRefused, "description": "No task has the id"},
    409: {"model": AllRefused, "description": "It is in another stage, or another's"},
}


def router(desk: Desk, *, token: bool) -> APIRouter:
    """The paths that want the token."""
    api = strict_router(token=token)
    _add_claims(api, desk)
    _add_settling(api, desk)
    _add_holding(api, desk)
    _add_looks(api, desk)
    return api


def open_router(desk: Desk) -> APIRouter:
    """The path that wants none."""
    api = strict_router(token=False)
    health = Health(desk)
    reads(api, "/health", response_model=Healthy, responses=AWAY)(health.answer)
    return api


def _add_claims(api: APIRouter, desk: Desk) -> None:
    @api.post("/claim", response_model=list[Claimed], responses=WITH_BODY)
    async def claim(request: Request, wanted: ClaimWanted | None = None) -> Response:
        """Claim tasks, if need be after waiting for one.

        With a lease a task waits again unless it is settled or extended in time. Without an
        owner a name is made for this claim alone: give it back when you settle.
        """
        wanted = wanted or ClaimWanted()
        deadline = time.monotonic() + wanted.wait_s
        while True:
            claims = await run_in_threadpool(_claimed, desk, wanted)
            left_s = deadline - time.monotonic()
            if claims or left_s <= 0 or desk.bell.closed:
                desk.metrics.handled("claim", len(claims))
                desk.bell.wake_next()
                return await run_in_threadpool(desk.answer, [claim_json(one) for one in claims])
            await desk.bell.wait(left_s)
            if await request.is_disconnected():  # what nobody hears of shall not be claimed
                desk.bell.wake_next()
                return Answer([])

    @reads(api, "/peek/{n_items}", response_model=list[Pair], responses=ALWAYS)
    def peek(n_items: Annotated[int, Path(ge=1, le=MAX_ITEMS)]) -> Response:
        """What would be claimed next, as pairs of id and body; nothing is moved."""
        return desk.answer(desk.queue.peek(n_items))


def _claimed(desk: Desk, wanted: ClaimWanted) -> list[Claim]:
    owner = wanted.owner
    if owner is None and wanted.lease_s is not None:
        owner = f"http-{secrets.token_hex(8)}"  # not the server's own: all would share that
    return desk.queue.get(wanted.n_items, lease_s=wanted.lease_s, owner=owner)


def _add_settling(api: APIRouter, desk: Desk) -> None:
    @api.post("/success", response_model=None, responses=NOT_MOVED)
    def success(wanted: SuccessWanted) -> Response:
        """A task is done: from PROCESSING to SUCCESS."""
        outcome = Success(_held(wanted.id, wanted), wanted.result, wanted.owner)
        return _said_of_one(desk, "success", desk.queue.settle([outcome]))

    @api.post("/fail", response_model=None, responses=NOT_MOVED)
    def fail(wanted: FailWanted) -> Response:
        """An attempt has failed: to FAIL, or back to WAITING while attempts are left."""
        outcome = Fail(_held(wanted.id, wanted), wanted.reason, wanted.owner)
        return _said_of_one(desk, "fail", desk.queue.settle([outcome]))

    @api.post("/settle", response_model=Refusals, responses=NOT_MOVED)
    def settle(wanted: SettleWanted) -> Response:
        """Settle many tasks at once, each by itself."""
        outcomes: list[Success | Fail] = []
        for id_, one in wanted.outcomes.items():
            held = _held(id_, one)
            if one.succeeded:
                outcomes.append(Success(held, one.result, one.owner))
            else:
                outcomes.append(Fail(held, one.reason, one.owner))
        return _said(desk, "settle", len(outcomes), desk.queue.settle(outcomes))

    @api.post("/refuse", response_model=None, responses=NOT_MOVED)
    def refuse(wanted: RefuseWanted) -> Response:
        """A task can never be worked on: from WAITING to FAIL, unclaimed."""
        desk.queue.refuse(wanted.id, reason=wanted.reason)
        return _none(desk, "refuse")


def _add_holding(api: APIRouter, desk: Desk) -> None:
    # The queue's own `extend` and `release` raise for the first task; here each one's is said.
    @api.post("/extend", response_model=Refusals, responses=NOT_MOVED)
    def extend(wanted: ExtendWanted) -> Response:
        """Let the leases of tasks end so long from now."""
        refused = desk.queue._extend(_holds(wanted.tasks), wanted.lease_s)
        return _said(desk, "extend", len(wanted.tasks), refused)

    @api.post("/release", response_model=Refusals, responses=NOT_MOVED)
    def release(wanted: ReleaseWanted) -> Response:
        """Hand tasks back unworked: from PROCESSING to WAITING, the attempt not counted."""
        refused = desk.queue._release(_holds(wanted.tasks), wanted.delay_s)
        return _said(desk, "release", len(wanted.tasks), refused)

    @api.delete("/settled", response_model=Purged, responses=ALWAYS)
    def purge(
        older_than_s: Annotated[float, Query(ge=0, le=LONGEST_AGE_S, allow_inf_nan=False)],
    ) -> Response:
        """Delete tasks that were settled (SUCCESS, FAIL) longer ago than this."""
        purged = desk.queue.purge(timedelta(seconds=older_than_s))
        desk.metrics.handled("purge", purged)
        return desk.answer({"purged": purged})


def _add_looks(api: APIRouter, desk: Desk) -> None:
    @reads(
        api,
        "/lookup_task",
        response_model=TaskSaid,
        responses={**ALWAYS, 404: {"model": Problem, "description": "No task has the id"}},
    )
    def lookup_task(
        id_: Annotated[str, Query(alias="id", min_length=1, max_length=LONGEST_ID)],
    ) -> Response:
        """All that is known of a task."""
        return desk.answer(task_json(desk.queue.lookup_task(id_)))

    @reads(
        api,
        "/metrics",
        responses={
            200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}, "description": "Text"}
        },
        response_class=Response,
    )
    def metrics() -> Response:
        """Numbers, as Prometheus reads them."""
        return Response(desk.metrics.text(), media_type=CONTENT_TYPE)


class Health:
    """Asks the store for its health, one at a time: a store that hangs holds one thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asking: asyncio.Task[None] | None = None

    async def answer(self) -> Response:
        """Whether the store answers; no token is wanted."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(asyncio.to_thread(self._ask))
        error: LabError
        try:
            await asyncio.wait_for(asyncio.shield(self._asking), HEALTH_WITHIN_S)
        except TimeoutError:
            error = StoreUnreachable(
                f"The store has not answered within {HEALTH_WITHIN_S:g} s.",
                remedy="Look after it; the server goes on as soon as it answers.",
            )
        except LabError as raised:
            error = raised
        else:
            return self._desk.answer({"status": "ok"})
        self._desk.store_is_away(error)
        return Answer(problem_json(error), 503, headers={"Retry-After": "1"})

    def _ask(self) -> None:
        self._desk.queue._find("health")  # a look at one task costs the same on every store


def _held(id_: str, wanted: HoldWanted) -> str | Claim:
    """The task as whoever sent this holds it: with a move, by that claim alone."""
    if wanted.move is None:
        return id_
    return Claim(id_, None, owner=wanted.owner, attempt=0, move=wanted.move, lease_ends=None)


def _holds(tasks: Mapping[str, HoldWanted]) -> list[Hold]:
    return [Hold(id_, one.owner, one.move) for id_, one in tasks.items()]


def _said(desk: Desk, verb: str, n: int, refused: Mapping[str, TaskError]) -> Response:
    desk.metrics.handled(verb, n - len(refused))
    said = {"refused": refused_json(refused)}
    if len(refused) < n:
        return desk.answer(said)
    first = next(iter(refused.values()))
    return desk.answer({**problem_json(first), **said}, status_of(first))


def _said_of_one(desk: Desk, verb: str, refused: Mapping[str, TaskError]) -> Response:
    return _said(desk, verb, 1, refused) if refused else _none(desk, verb)


def _none(desk: Desk, verb: str) -> Response:
    desk.metrics.handled(verb, 1)
    return desk.answer(None)
