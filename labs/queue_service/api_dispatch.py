"""The routes of those who work on builds: claim, extend, ack, nack.

A claim is held by its `owner` and `move`, with a lease: who dies loses nothing, and who was too
slow can't settle what is another's by now.
"""

from __future__ import annotations

from labs.queue_service import admission
from labs.queue_service.api_answers import Claims, Extended, Reply, Settled, said
from labs.queue_service.api_desk import Asked, Desk
from labs.queue_service.api_routes import PREFIX, WORKER, Route, Says
from labs.queue_service.shapes_verbs import AckWanted, ClaimWanted, ExtendWanted, NackWanted

CLAIMED = {
    "claimed": [
        {
            "id": "4211",
            "buildId": 4211,
            "jobId": 777,
            "cluster": "",
            "body": {"buildId": 4211, "jobId": 777, "container": "node:22"},
            "owner": "worker-1",
            "attempt": 1,
            "move": 2,
            "leaseEnds": "2030-01-31T12:01:00.000000Z",
        }
    ]
}
NOT_HELD = {404: "There is no such message", 409: "The claim is lost: it is another's by now"}


async def claim(desk: Desk, asked: Asked) -> Reply:
    """Take messages, or wait for some."""
    wanted = admission.claim(asked.json())
    claimed = await (desk.claim(wanted, asked) if wanted.wait_s else desk.do(wanted))
    return said(Claims(claimed))


async def extend(desk: Desk, asked: Asked) -> Reply:
    """Hold one for longer."""
    return said(Extended(await desk.do(admission.extend(asked.json()))))


async def ack(desk: Desk, asked: Asked) -> Reply:
    """A build is done."""
    return said(Settled(await desk.do(admission.ack(asked.json()))))


async def nack(desk: Desk, asked: Asked) -> Reply:
    """An attempt has failed."""
    return said(Settled(await desk.do(admission.nack(asked.json()))))


ROUTES = (
    Route(
        method="POST",
        path=f"{PREFIX}/queue/claim",
        does=claim,
        about="Take the next messages that nothing blocks; with `waitS`, wait for some.",
        scope=WORKER,
        bodies=(ClaimWanted,),
        answers={
            200: Says("What was claimed; empty, if there was nothing", Claims, example=CLAIMED)
        },
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/queue/extend",
        does=extend,
        about="Let a claim's lease end so long from now.",
        scope=WORKER,
        bodies=(ExtendWanted,),
        answers={200: Says("When it ends", Extended)},
        refuses=NOT_HELD,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/queue/ack",
        does=ack,
        about="The build is done.",
        scope=WORKER,
        bodies=(AckWanted,),
        answers={200: Says("Where its message is now", Settled)},
        refuses=NOT_HELD,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/queue/nack",
        does=nack,
        about="The attempt has failed, or (`requeue`) was none; tried again while attempts are "
        "left, unless it is `final`.",
        scope=WORKER,
        bodies=(NackWanted,),
        answers={200: Says("Where its message is now", Settled)},
        refuses=NOT_HELD,
    ),
)
