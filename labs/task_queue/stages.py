"""The stages of a task's life, and the one table of the moves between them.

Every store obeys `MOVES`, the picture of the stages is drawn from it, and the tests walk it: a
move that does not stand here can't be made. A task is in one stage at a time; each move of a
task has a number, 1 and up, which tells one claim of it from the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Stage(IntEnum):
    """Where a task is. The numbers are what stores keep and the REST API says."""

    WAITING = 0
    PROCESSING = 1
    SUCCESS = 2
    FAIL = 3


class Move(StrEnum):
    """Each way in which a task comes from one stage to another."""

    PUT = "put"
    CLAIM = "claim"
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY = "retry"
    """It failed, and has attempts left: it waits again, after a pause."""
    EXPIRE = "expire"
    """Its lease ran out: it waits again, at once."""
    GIVE_UP = "give up"
    """Its lease ran out in its last attempt."""
    RELEASE = "release"
    """Its owner hands it back unworked: the attempt does not count."""
    REFUSE = "refuse"
    """It can never be worked on here, as one too large for any limit: it fails unclaimed."""
    REQUEUE = "requeue"
    """Somebody wants it tried anew: its attempts begin again."""
    PURGE = "purge"


class Way(NamedTuple):
    """From where to where a move leads; None is outside of the queue."""

    sources: frozenset[Stage | None]
    target: Stage | None


def _way(*sources: Stage | None, to: Stage | None) -> Way:
    return Way(frozenset(sources), to)


MOVES: Mapping[Move, Way] = {
    Move.PUT: _way(None, to=Stage.WAITING),
    Move.CLAIM: _way(Stage.WAITING, to=Stage.PROCESSING),
    Move.SUCCEED: _way(Stage.PROCESSING, to=Stage.SUCCESS),
    Move.FAIL: _way(Stage.PROCESSING, to=Stage.FAIL),
    Move.RETRY: _way(Stage.PROCESSING, to=Stage.WAITING),
    Move.EXPIRE: _way(Stage.PROCESSING, to=Stage.WAITING),
    Move.GIVE_UP: _way(Stage.PROCESSING, to=Stage.FAIL),
    Move.RELEASE: _way(Stage.PROCESSING, to=Stage.WAITING),
    Move.REFUSE: _way(Stage.WAITING, to=Stage.FAIL),
    Move.REQUEUE: _way(Stage.FAIL, to=Stage.WAITING),
    Move.PURGE: _way(Stage.SUCCESS, Stage.FAIL, to=None),
}
