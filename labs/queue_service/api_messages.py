"""The routes of messages: start, stop, schedules, frozen ones, and how all of them stand.

`POST` and `DELETE /v1/queue/message` are the known service's, with its query `type`; a type that
does not exist is refused. Each makes one operation of what it is asked, and one answer of what
comes back.
"""

from __future__ import annotations

from urllib.parse import quote

from labs.queue_service import admission
from labs.queue_service.api_answers import (
    Ids,
    Reply,
    Samples,
    Scheduled,
    Schedules,
    Unscheduled,
    said,
)
from labs.queue_service.api_desk import Asked, Desk
from labs.queue_service.api_routes import PREFIX, SDAPI, Route, Says
from labs.queue_service.messages import Enqueued, MessagePage, Standing, State, Stats, Stopped
from labs.queue_service.operations import GetStats, ListSchedules
from labs.queue_service.shapes import JobWanted, PeriodicWanted, StartWanted, StopWanted
from labs.queue_service.shapes_verbs import (
    FailedWanted,
    FindWanted,
    ListWanted,
    SamplesWanted,
    TypeWanted,
)

MESSAGE = f"{PREFIX}/queue/message"
REPLAYED = ("Idempotency-Replayed", "true")

STARTED = {
    "id": "4211",
    "buildId": 4211,
    "jobId": 777,
    "state": "queued",
    "created": True,
    "replayed": False,
    "until": None,
    "waitsFor": None,
    "note": "",
}
STANDS = {
    "counts": {**dict.fromkeys(map(str, State), 0), "queued": 12, "running": 3, "done": 4180},
    "workers": 3,
    "oldestAgeS": 1.5,
    "at": "2030-01-31T12:00:00.000000Z",
}

_STATS = GetStats()


async def post(desk: Desk, asked: Asked) -> Reply:
    """Start a build; or put a schedule, or thaw a frozen message."""
    kind = admission.type_of(asked.query())
    key = admission.idempotency_key(asked.header(b"idempotency-key"))
    if kind == "periodic":
        put = admission.put_schedule(asked.json())
        return said(Scheduled(put.job_id, await desk.do(put)))
    if kind == "frozen":
        return said(await desk.do(admission.thaw(asked.json())))
    enqueued = await desk.do(admission.start(asked.json(), key, asked.principal.subject))
    headers = []
    if enqueued.id:
        headers.append(("Location", f"{MESSAGE}?id={quote(enqueued.id, safe='')}"))
    if enqueued.replayed:
        headers.append(REPLAYED)
    return said(enqueued, 201 if enqueued.created else 200, headers)


async def delete(desk: Desk, asked: Asked) -> Reply:
    """Stop a build; or delete a schedule, or stop a frozen message."""
    kind = admission.type_of(asked.query())
    if kind == "periodic":
        delete = admission.delete_schedule(asked.json())
        return said(Unscheduled(delete.job_id, await desk.do(delete)))
    if kind == "frozen":
        return said(await desk.do(admission.stop_frozen(asked.json())))
    return said(await desk.do(admission.stop(asked.json())))


async def find(desk: Desk, asked: Asked) -> Reply:
    """Look a message up."""
    return said(await desk.do(admission.find(asked.query())))


async def page(desk: Desk, asked: Asked) -> Reply:
    """List messages."""
    return said(await desk.do(admission.list_messages(asked.query())))


async def stats(desk: Desk, asked: Asked) -> Reply:
    """How the queue stands."""
    admission.nothing(asked.query())
    return said(await desk.do(_STATS))


async def samples(desk: Desk, asked: Asked) -> Reply:
    """How it has stood."""
    return said(Samples(await desk.do(admission.samples(asked.query()))))


async def schedules(desk: Desk, asked: Asked) -> Reply:
    """What runs by the clock."""
    admission.nothing(asked.query())
    return said(Schedules(await desk.do(ListSchedules())))


async def replay(desk: Desk, asked: Asked) -> Reply:
    """Queue failed messages again."""
    return said(Ids(await desk.do(admission.replay(asked.json()))))


async def discard(desk: Desk, asked: Asked) -> Reply:
    """Forget failed messages."""
    return said(Ids(await desk.do(admission.discard(asked.json()))))


ROUTES = (
    Route(
        method="POST",
        path=MESSAGE,
        does=post,
        about="Start a build, once; `type=periodic`: let a job start by the clock; `type=frozen`: "
        "let a job's frozen message wait no more.",
        scope=SDAPI,
        query=TypeWanted,
        bodies=(StartWanted, PeriodicWanted, JobWanted),
        key=True,
        answers={
            200: Says(
                "It was there already, or its job is disabled; or what became of another `type`",
                Enqueued | Scheduled,
                headers={
                    "Location": "Where its message is, if there is one",
                    "Idempotency-Replayed": "It is the answer that the key had the first time",
                },
            ),
            201: Says(
                "It is stored",
                Enqueued,
                example=STARTED,
                headers={
                    "Location": "Where its message is",
                    "Idempotency-Replayed": "It is the answer that the key had the first time",
                },
            ),
        },
        refuses={404: "`type=frozen`: the job has no frozen message"},
    ),
    Route(
        method="DELETE",
        path=MESSAGE,
        does=delete,
        about="Stop a build, or a message by its id; `type=periodic`: let a job start by the clock "
        "no more; `type=frozen`: stop a job's frozen message.",
        scope=SDAPI,
        query=TypeWanted,
        bodies=(StopWanted, JobWanted),
        answers={200: Says("What became of it", Stopped | Unscheduled)},
        refuses={404: "There is no message of this id"},
    ),
    Route(
        method="GET",
        path=MESSAGE,
        does=find,
        about="How a message stands: by its id, its build's, or the newest of a job.",
        query=FindWanted,
        answers={200: Says("The message, and its place in its line", Standing)},
        refuses={404: "There is no such message"},
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/queue/messages",
        does=page,
        about="Messages, newest first, in pages: `next` of one is `after` of the following.",
        query=ListWanted,
        answers={200: Says("A page", MessagePage)},
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/queue/stats",
        does=stats,
        about="How many messages are in each state, workers, the oldest one's age.",
        answers={200: Says("How the queue stands", Stats, example=STANDS)},
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/queue/samples",
        does=samples,
        about="How the queue has stood, for a curve.",
        query=SamplesWanted,
        answers={200: Says("Oldest first", Samples)},
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/queue/schedules",
        does=schedules,
        about="Jobs that start by the clock, by their next run.",
        answers={200: Says("All of them", Schedules)},
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/queue/failed/replay",
        does=replay,
        about="Queue failed messages again, their attempts counted anew.",
        scope=SDAPI,
        bodies=(FailedWanted,),
        answers={200: Says("Those that were failed", Ids)},
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/queue/failed/discard",
        does=discard,
        about="Forget failed messages.",
        scope=SDAPI,
        bodies=(FailedWanted,),
        answers={200: Says("Those that were failed", Ids)},
    ),
)
