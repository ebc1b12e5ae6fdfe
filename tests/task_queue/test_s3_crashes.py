"""A client that dies before any one of its requests: the task is there, once, in one stage.

Each verb is begun anew with a client that dies before its first request, its second and so on,
until it comes through. After each death another client looks, claims and settles.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from labs.task_queue.events import MemoryEventStore
from labs.task_queue.events_queue import with_events
from labs.task_queue.replay import moves_of, replay
from labs.task_queue.s3 import S3Queue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Fail
from tests.task_queue.s3 import S3Place

SHORT_S = 0.001
"""A lease that has ended by the next request."""


class Death(BaseException):
    """Raised instead of a request."""


def die_before(queue: S3Queue, request: int) -> None:
    """Let the client die before its so-many-th request from now on."""
    left = iter(range(request))

    def send_or_die(**_: Any) -> None:
        if next(left, None) is None:
            raise Death

    queue._bucket._s3().meta.events.register("before-send.s3", send_or_die)


def until_it_lives(
    place: S3Place,
    prepare: Callable[[S3Queue, str], object],
    verb: Callable[[S3Queue, str], object],
    after: Callable[[S3Queue, str], None],
) -> int:
    """Try the verb on a task of its own each time; how many requests it takes."""
    for requests in range(1, 40):
        id_ = f"task/{requests}"
        with place.open() as sound:
            prepare(sound, id_)
        with place.open() as mortal:
            die_before(mortal, requests - 1)
            try:
                verb(mortal, id_)
            except Death:
                lived = False
            else:
                lived = True
        with place.open() as sound:
            after(sound, id_)
        if lived:
            return requests - 1
    raise AssertionError("it never came through")


def put(queue: S3Queue, id_: str) -> None:
    queue.put({id_: {"n": 1}})


def claimed(queue: S3Queue, id_: str) -> None:
    put(queue, id_)
    assert [claim.id for claim in queue.get(owner="me")] == [id_]


def failed(queue: S3Queue, id_: str) -> None:
    claimed(queue, id_)
    queue.fail(id_, owner="me")


def nothing(queue: S3Queue, id_: str) -> None:
    """There is no task before it is put."""


def is_one_task(queue: S3Queue, id_: str, *stages: Stage) -> None:
    """It is in one of these stages, and in all that counts and lists there only."""
    stage = queue.lookup_status(id_)
    assert stage in stages
    assert sum(queue.sizes().values()) == 1, queue.sizes()
    assert queue.size(stage) == 1
    assert queue.lookup_state(stage) == [id_] == queue.lookup_state(stage, limit=5)


def finish(queue: S3Queue, id_: str) -> None:
    """It can be brought to its end, and there is nothing else."""
    if queue.lookup_status(id_) is Stage.FAIL:
        queue.requeue(id_)
    claims = queue.get(5)
    assert [claim.id for claim in claims] in ([id_], [])
    if queue.lookup_status(id_) is Stage.PROCESSING:
        queue.success(claims[0] if claims else id_, owner="me")
    assert queue.sizes() == {"WAITING": 0, "PROCESSING": 0, "SUCCESS": 1, "FAIL": 0}
    purge_all(queue)


def purge_all(queue: S3Queue) -> None:
    queue.purge(timedelta())
    assert sum(queue.sizes().values()) == 0


def test_a_put_is_made_or_can_be_made_again(s3_place: S3Place) -> None:
    def after(queue: S3Queue, id_: str) -> None:
        queue.put_quietly({id_: {"n": 1}})
        is_one_task(queue, id_, Stage.WAITING)
        finish(queue, id_)

    assert until_it_lives(s3_place, nothing, put, after) == 2


VERBS: dict[str, tuple[Any, Any, tuple[Stage, ...], int]] = {
    "get": (put, lambda q, _: q.get(owner="me"), (Stage.WAITING, Stage.PROCESSING), 7),
    "get with a lease": (
        put,
        lambda q, _: q.get(owner="me", lease_s=SHORT_S),
        (Stage.WAITING,),
        7,
    ),
    "success": (
        claimed,
        lambda q, i: q.success(i, owner="me"),
        (Stage.PROCESSING, Stage.SUCCESS),
        4,
    ),
    "fail": (claimed, lambda q, i: q.fail(i, owner="me"), (Stage.PROCESSING, Stage.FAIL), 4),
    "extend": (claimed, lambda q, i: q.extend(i, 60, owner="me"), (Stage.PROCESSING,), 4),
    "release": (
        claimed,
        lambda q, i: q.release(i, owner="me"),
        (Stage.PROCESSING, Stage.WAITING),
        4,
    ),
    "requeue": (failed, lambda q, i: q.requeue(i), (Stage.FAIL, Stage.WAITING), 4),
    "refuse": (put, lambda q, i: q.refuse(i, reason="no"), (Stage.WAITING, Stage.FAIL), 5),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_move_is_made_or_not_and_the_task_goes_on(s3_place: S3Place, verb: str) -> None:
    prepare, do, stages, requests = VERBS[verb]

    def after(queue: S3Queue, id_: str) -> None:
        is_one_task(queue, id_, *stages)
        finish(queue, id_)

    assert until_it_lives(s3_place, prepare, do, after) == requests


def test_a_purge_takes_a_settled_task_altogether_or_leaves_it(s3_place: S3Place) -> None:
    def after(queue: S3Queue, id_: str) -> None:
        purge_all(queue)
        queue.put({id_: "anew"})
        assert queue.get() == [(id_, "anew")]
        queue.success(id_)
        purge_all(queue)
        assert list(queue._bucket.list_all(queue._moves.base)) == [], "nothing is left behind"

    until_it_lives(s3_place, failed, lambda queue, _: purge_all(queue), after)


def test_events_tell_of_every_move_once_wherever_a_client_has_died(s3_place: S3Place) -> None:
    store = MemoryEventStore()

    def all_verbs(queue: S3Queue, id_: str) -> None:
        told = with_events(queue, store, "tested")
        told.put({id_: 1}, max_attempts=3, backoff_s=0)
        (claim,) = told.get(owner="me")
        told.settle([Fail(claim, "again")])
        (claim,) = told.get(owner="me")
        told.success(claim)

    def after(queue: S3Queue, _: str) -> None:
        told = with_events(queue, store, "tested")
        told.recover()
        events = told.events()
        found = {id_: stage for stage in Stage for id_ in told.lookup_state(stage)}
        assert replay(events) == found
        assert len(events) == len({(move.id, move.number) for move in moves_of(events)})
        assert len(events) == sum(told.lookup_task(one).moves for one in found)
        for claim in told.get(5, owner="me"):
            told.success(claim)
        for one in told.lookup_state(Stage.PROCESSING):
            told.success(one, owner="me")

    assert until_it_lives(s3_place, nothing, all_verbs, after) > 20
