"""Each operation as one HTTP request, and its answer as a value: one table of routes.

A call may be made again when its answer was lost (`again`) if twice is as good as once: so it is
for all that looks, for a start (its build's id, and an idempotency key for what the answer says),
for what stops or removes, and for what settles or extends a claim by its `move`. It is not so for
a claim (its lease brings back what a lost answer took along), a replay, or what fires a job.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from labs.queue_service.api_answers import camel
from labs.queue_service.client_wire import read
from labs.queue_service.messages import (
    Claimed,
    Enqueued,
    MessagePage,
    Sample,
    Schedule,
    Standing,
    State,
    Stats,
    Stopped,
)
from labs.queue_service.operations import (
    ANNOTATION,
    FORCE,
    Ack,
    Claim,
    DeleteSchedule,
    Discard,
    Extend,
    Find,
    GetSamples,
    GetStats,
    Held,
    ListMessages,
    ListSchedules,
    Nack,
    Operation,
    PutSchedule,
    Replay,
    Start,
    Stop,
    StopFrozen,
    Thaw,
)
from labs.task_queue.client_link import Call
from labs.task_queue.tasks import Json

OF_ONE_START = frozenset({"buildId", "jobId", "jobState", "causeMessage"})
"""Not of the message that each run of a schedule has."""

SAID_AS = {
    "blocked_by": "blockedBy",
    "job_name": "jobName",
    "blocked_by_self": "blockedBySelf",
    "freeze_windows": "freezeWindows",
    "cluster": "buildClusterName",
    "priority": "priority",
    "delay_s": "delayS",
    "max_attempts": "maxAttempts",
    "backoff_s": "backoffS",
}
ANNOTATED_AS = {
    "collapse": f"{ANNOTATION}collapseBuilds",
    "blocked_by_same_job": f"{ANNOTATION}blockedBySameJob",
    "same_job_wait_s": f"{ANNOTATION}blockedBySameJobWaitTime",
    "virtual": f"{ANNOTATION}virtualJob",
}
"""A start's fields, and what says them on the wire."""
SAID_BY_FIELDS = {*SAID_AS.values(), "annotations", "jobState", "jobArchived", "causeMessage"}
"""In a body they say nothing: the start's own fields are what is meant."""

Fields = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Route:
    """Where an operation goes, and what comes back."""

    method: str
    path: str
    read: Callable[[Json], Any]
    again: bool = True
    type: str | None = None
    """Of several things under one path: the query's `type`."""
    write: Callable[[Any], Fields] | None = None
    """Fields that are not as those of the operation."""


def call_of(operation: Operation[Any]) -> tuple[Call, Callable[[Json], Any]]:
    """The request of an operation, and how to read its answer.

    Raises:
        TypeError: it is none that is asked for from outside.
    """
    route = ROUTES.get(type(operation))
    if route is None:
        raise TypeError(f"{type(operation).__name__} is done by the service itself.")
    said = (route.write or fields_of)(operation)
    query = {} if route.type is None else {"type": route.type}
    headers = {}
    if isinstance(operation, Start):
        headers["Idempotency-Key"] = operation.idempotency_key or secrets.token_hex(16)
    looks = route.method == "GET"
    again = route.again and not (isinstance(operation, PutSchedule) and operation.trigger)
    call = Call(
        route.method,
        route.path,
        again,
        query=query | said if looks else query,
        headers=headers,
        body=None if looks else json.dumps(said, allow_nan=False, separators=(",", ":")),
        wait_s=operation.wait_s if isinstance(operation, Claim) else 0.0,
    )
    return call, route.read


def fields_of(operation: object) -> Fields:
    """An operation's fields as they are on the wire; those that are None are not."""
    said: Fields = {}
    for one in fields(operation):  # type: ignore[arg-type]  # each operation is a dataclass
        value = getattr(operation, one.name)
        if isinstance(value, Held):
            said |= fields_of(value)
        elif value is not None:
            said[camel(one.name)] = _plain(value)
    return said


def _plain(value: object) -> Json:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _start(start: Start) -> Fields:
    """The known fields, as far as they say something; what else came with the body is kept."""
    said = {name: value for name, value in start.body.items() if name not in SAID_BY_FIELDS}
    said |= {"buildId": start.build_id, "jobId": start.job_id}
    usual = Start(build_id=0, job_id=0, body={}, blocked_by=())
    for name, there in SAID_AS.items():
        if name == "blocked_by" or getattr(start, name) != getattr(usual, name):
            said[there] = _plain(getattr(start, name))
    annotations = {
        name: value
        for name, value in (start.body.get("annotations") or {}).items()
        if name not in ANNOTATED_AS.values()
    }
    for name, there in ANNOTATED_AS.items():
        if getattr(start, name) != getattr(usual, name):
            value = getattr(start, name)
            annotations[there] = value / 60 if name == "same_job_wait_s" else value
    if annotations:
        said["annotations"] = annotations
    if start.disabled:
        said["jobState"] = "DISABLED"
    if start.force:
        said["causeMessage"] = FORCE
    return said


def _put_schedule(put: PutSchedule) -> Fields:
    message = {**put.body}
    if put.template is not None:
        start = _start(replace(put.template, body=put.body))
        message |= {name: start[name] for name in start.keys() - OF_ONE_START}
    return {
        "jobId": put.job_id,
        "jobName": put.job_name,
        "cron": put.cron,
        "timeZone": put.time_zone,
        "message": message,
        "triggerBuild": put.trigger,
    }


def _ids(operation: Replay | Discard) -> Fields:
    return {"all": True} if operation.ids is None else {"ids": list(operation.ids)}


def _value(kind: type) -> Callable[[Json], Any]:
    return lambda said: read(kind, said)


def _under(key: str, kind: Any) -> Callable[[Json], Any]:
    return lambda said: read(kind, said[key])


MESSAGE = "queue/message"
ROUTES: Mapping[type[Operation[Any]], Route] = {
    Start: Route("POST", MESSAGE, _value(Enqueued), write=_start),
    Stop: Route("DELETE", MESSAGE, _value(Stopped)),
    Thaw: Route("POST", MESSAGE, _value(Enqueued), again=False, type="frozen"),
    StopFrozen: Route("DELETE", MESSAGE, _value(Stopped), type="frozen"),
    Find: Route("GET", MESSAGE, _value(Standing)),
    ListMessages: Route("GET", "queue/messages", _value(MessagePage)),
    GetStats: Route("GET", "queue/stats", _value(Stats)),
    GetSamples: Route("GET", "queue/samples", _under("samples", Sequence[Sample])),
    Claim: Route("POST", "queue/claim", _under("claimed", Sequence[Claimed]), again=False),
    Extend: Route("POST", "queue/extend", _under("leaseEnds", datetime)),
    Ack: Route("POST", "queue/ack", _under("state", State)),
    Nack: Route("POST", "queue/nack", _under("state", State)),
    Replay: Route(
        "POST", "queue/failed/replay", _under("ids", Sequence[str]), again=False, write=_ids
    ),
    Discard: Route(
        "POST", "queue/failed/discard", _under("ids", Sequence[str]), again=False, write=_ids
    ),
    PutSchedule: Route(
        "POST",
        MESSAGE,
        _under("schedule", Schedule | None),
        type="periodic",
        write=_put_schedule,
    ),
    DeleteSchedule: Route("DELETE", MESSAGE, _under("deleted", bool), again=False, type="periodic"),
    ListSchedules: Route("GET", "queue/schedules", _under("schedules", Sequence[Schedule])),
}
