"""The page for people: how long the queue is and was, what runs, what waits for what, what failed.

Pages are made here, of templates, and read well without any script; with one they keep up with
the queue. The same operations stand behind them as behind the API. What comes in goes through
`page_door` first. To stop a build or to start one is not offered: that is for programs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from labs.queue_service import admission
from labs.queue_service.auth import Authenticator
from labs.queue_service.errors import BadMessage
from labs.queue_service.messages import Message, Sample, Schedule, State
from labs.queue_service.operations import (
    Discard,
    GetSamples,
    GetStats,
    ListMessages,
    ListSchedules,
    Operation,
    Replay,
)
from labs.queue_service.page_curve import Curve, Past, curve
from labs.queue_service.page_door import Count, Door, Visit
from labs.queue_service.page_forms import Form
from labs.queue_service.schedule import next_run, zone_of

A = TypeVar("A")

FEW, MANY = 10, 50
"""Rows in a part of the overview, and in a list."""
MOST_SCHEDULES = 500
RUNS = 3
SPANS: Mapping[str, timedelta] = {
    "15min": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
}
USUAL_SPAN = "1h"
COLUMNS: Mapping[State | None, Sequence[str]] = {
    State.QUEUED: ("message", "job", "priority", "cluster", "attempts", "since", "due"),
    State.RUNNING: ("message", "job", "owner", "attempts", "started", "lease"),
    State.BLOCKED: ("message", "job", "blocked", "since"),
    State.FROZEN: ("message", "job", "until", "since"),
    State.FAILED: ("message", "job", "attempts", "reason", "ended"),
    State.DONE: ("message", "job", "attempts", "started", "ended"),
    State.COLLAPSED: ("message", "job", "replaced", "since", "ended"),
    State.STOPPED: ("message", "job", "attempts", "since", "ended"),
    None: ("message", "job", "state", "priority", "attempts", "since"),
}


class Do(Protocol):
    """Has an operation done: the service."""

    async def __call__(self, operation: Operation[A], /) -> A:
        """Its answer."""
        ...


def page_router(
    do: Do, *, authenticator: Authenticator | None = None, count: Count = lambda *_: None
) -> Router:
    """The page's paths, as an ASGI application; for any other it has a page that says so.

    Args:
        authenticator: knows who may come; None: everybody may.
        count: is told of each request, and refuses one too many.
    """
    door = Door(authenticator, count)
    pages = Pages(do)

    def shown(state: State | None) -> Route:
        async def listed(visit: Visit) -> Response:
            return await pages.messages(visit, state)

        return Route(f"/{state or 'messages'}", door.shows(listed))

    return Router(
        [
            Route("/", door.shows(pages.overview)),
            shown(None),
            *map(shown, State),
            Route("/message/{id:path}", door.shows(pages.message)),
            Route("/schedules", door.shows(pages.schedules)),
            Route("/failed/replay", door.takes(pages.replay), methods=["POST"]),
            Route("/failed/discard", door.takes(pages.discard), methods=["POST"]),
            Route("/login", door.takes(door.log_in, of_anybody=True), methods=["POST"]),
            Route("/logout", door.takes(door.log_out, None, of_anybody=True), methods=["POST"]),
            Route("/{path:path}", door.no_such_page()),
        ],
        redirect_slashes=False,
    )


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule and its next runs, on its own clock."""

    schedule: Schedule
    runs: Sequence[datetime]


class Pages:
    """Makes each page of what the service says."""

    def __init__(self, do: Do) -> None:
        self._do = do
        self._pasts = {name: Past(span) for name, span in SPANS.items()}

    async def overview(self, visit: Visit) -> Response:
        """How all stands."""
        span = _span(visit.request)
        past = self._pasts[span]
        stats, fresh, schedules = await asyncio.gather(
            self._do(GetStats()),
            self._do(GetSamples(since=past.since(visit.now))),
            self._do(ListSchedules(limit=FEW)),
        )
        lists = await asyncio.gather(
            *(self._do(ListMessages(state=state, limit=FEW)) for state in PARTS)
        )

        def drawn() -> Curve | None:
            last = Sample(at=visit.now, counts=stats.counts)
            return curve([*past.take(fresh, visit.now), last], visit.now, past.span)

        return await visit.page(
            "overview.html",
            stats=stats,
            curve=drawn,
            span=span,
            spans=SPANS,
            parts_shown=[
                (state, COLUMNS[state], page) for state, page in zip(PARTS, lists, strict=True)
            ],
            schedules=lambda: [_planned(one) for one in schedules],
        )

    async def messages(self, visit: Visit, state: State | None) -> Response:
        """Some messages, newest first."""
        query = {**visit.request.query_params, **({"state": state} if state else {})}
        done = {name: query.pop(name, "") for name in ("replayed", "discarded")}
        wanted = admission.list_messages({"limit": str(MANY), **query})
        page, stats = await asyncio.gather(self._do(wanted), self._do(GetStats()))
        return await visit.page(
            "messages.html",
            wanted=wanted,
            columns=COLUMNS[wanted.state],
            page=page,
            stats=stats,
            next=visit.request.url.include_query_params(after=page.next).query,
            done={name: int(n) for name, n in done.items() if n.isascii() and n[:9].isdigit()},
        )

    async def message(self, visit: Visit) -> Response:
        """All about one."""
        standing = await self._do(admission.find({"id": visit.request.path_params["id"]}))
        return await visit.page(
            "message.html",
            standing=standing,
            message=standing.message,
            times=_times(standing.message),
        )

    async def schedules(self, visit: Visit) -> Response:
        """Them all, by their next run."""
        found = await self._do(ListSchedules(limit=MOST_SCHEDULES + 1))
        return await visit.page(
            "schedules.html",
            schedules=lambda: [_planned(one) for one in found[:MOST_SCHEDULES]],
            are_more=len(found) > MOST_SCHEDULES,
        )

    async def replay(self, visit: Visit, form: Form) -> Response:
        """Queue failed messages again."""
        done = await self._do(Replay(ids=_chosen(form)))
        return visit.back(f"/failed?replayed={len(done)}")

    async def discard(self, visit: Visit, form: Form) -> Response:
        """Forget failed messages."""
        done = await self._do(Discard(ids=_chosen(form)))
        return visit.back(f"/failed?discarded={len(done)}")


PARTS = (State.RUNNING, State.BLOCKED, State.FROZEN, State.FAILED)
"""Of the overview."""


def _span(request: Request) -> str:
    span = request.query_params.get("span", USUAL_SPAN)
    if span not in SPANS:
        raise BadMessage(
            f"There is no span {span[:20]!r}.",
            field="span",
            remedy=f"Choose one of {', '.join(SPANS)}.",
        )
    return span


def _chosen(form: Form) -> tuple[str, ...] | None:
    """Which failed messages are meant; None: all."""
    ids = form.get("id", [])
    wanted = {"all": True} if "all" in form else {"ids": ids}
    if not ids and "all" not in form:
        raise BadMessage(
            "No message was chosen.", field="id", remedy="Tick the ones that you mean, or take all."
        )
    return admission.replay(wanted).ids


def _planned(schedule: Schedule) -> Planned:
    runs = [schedule.next_run]
    try:
        zone = zone_of(schedule.time_zone)
        while len(runs) < RUNS:
            runs.append(next_run(schedule.hashed, schedule.time_zone, runs[-1]))
    except BadMessage:  # the machine's time zones have changed; its first run stands
        return Planned(schedule, ())
    return Planned(schedule, [run.astimezone(zone) for run in runs])


def _times(message: Message) -> Sequence[tuple[str, datetime]]:
    """What has happened to it, and what is known to come."""
    told = [
        ("Enqueued", message.enqueued_at),
        ("Due", message.due if message.due > message.enqueued_at else None),
        ("Started", message.started_at),
        ("Lease ends", message.lease_ends),
        ("Ended", message.ended_at),
    ]
    return [(name, time) for name, time in told if time is not None]
