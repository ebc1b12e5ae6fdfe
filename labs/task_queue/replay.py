"""From the events of a queue back to its state, at any time, and to its flow through the stages.

Pure: events in, values out. The events may come in any order and more than once: each move
has its task, its time and its number there. The moves of one task are in the order of their
numbers, whatever the clocks said of those who made them: a clock that went back, or another
machine's, must not undo what was done. Between tasks the times decide. Events that another
maker's queue has written, with no number in them, are read too, in the order of their times.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from labs.task_queue.errors import BadTask
from labs.task_queue.events import Event
from labs.task_queue.stages import MOVES, Move, Stage
from labs.task_queue.tasks import Moved


@dataclass(frozen=True, slots=True)
class Flow:
    """How many tasks were in each stage from this moment on."""

    time: datetime
    sizes: Mapping[Stage, int]


def moves_of(events: Iterable[Event], until: datetime | None = None) -> list[Moved]:
    """The moves that the events tell of, each once, in the order in which they were made.

    One that was made, by its clock, before the move before it has the time of that.

    Args:
        until: only those up to and at this time.

    Raises:
        BadTask: an event is none of a queue's.
    """
    until = None if until is None else until.astimezone(UTC)
    told = {event.key: event for event in events if until is None or event.time <= until}
    by_id: dict[str, list[Moved]] = {}
    for moved in map(_moved, told.values()):
        by_id.setdefault(moved.id, []).append(moved)
    in_order: list[Moved] = []
    for moves in by_id.values():
        latest = min(moved.at for moved in moves)
        for moved in _in_order(moves):
            latest = max(latest, moved.at)
            in_order.append(moved if moved.at == latest else replace(moved, at=latest))
    return sorted(in_order, key=lambda moved: moved.at)  # each task's stay in their order


def _in_order(moves: Iterable[Moved]) -> list[Moved]:
    """The moves of one task as they were made.

    An id that was purged and put anew begins at number 1 again. A purge is the last of its life,
    and so says how long that was: the n-th moves, by their times, belong to the lives that had
    so many, in turn.
    """
    in_time = sorted(moves, key=lambda moved: moved.at)
    if not all(moved.number for moved in in_time):
        return in_time
    lengths = [moved.number for moved in in_time if moved.stage_to is None]
    lives = [(length, dict[int, Moved]()) for length in (*lengths, math.inf)]
    for moved in in_time:
        fitting = (life for n, life in lives if moved.number <= n and moved.number not in life)
        next(fitting, lives[-1][1])[moved.number] = moved
    return [life[number] for _, life in lives for number in sorted(life)]


def replay(events: Iterable[Event], until: datetime | None = None) -> dict[str, Stage]:
    """The stage of each task, as it was after these events; a purged task is not there."""
    stages: dict[str, Stage] = {}
    for moved in moves_of(events, until):
        if moved.stage_to is None:
            stages.pop(moved.id, None)
        else:
            stages[moved.id] = moved.stage_to
    return stages


def flow(events: Iterable[Event]) -> list[Flow]:
    """The sizes of the stages over time: one entry for each moment at which something moved."""
    sizes: Counter[Stage] = Counter(dict.fromkeys(Stage, 0))
    flows: list[Flow] = []
    stages: dict[str, Stage] = {}
    for moved in moves_of(events):
        if (before := stages.pop(moved.id, None)) is not None:
            sizes[before] -= 1
        if moved.stage_to is not None:
            stages[moved.id] = moved.stage_to
            sizes[moved.stage_to] += 1
        if flows and flows[-1].time == moved.at:
            flows.pop()
        flows.append(Flow(moved.at, dict(sizes)))
    return flows


def _moved(event: Event) -> Moved:
    try:
        data = event.data
        id_, number = data["queue_index_key"], data.get("move_number", 0)
        if "stage_from" not in data:
            return Moved(id_, number, Move.PUT, None, Stage.WAITING, event.time)
        stage_from, to = Stage(data["stage_from"]), data["stage_to"]
        stage_to = None if to is None else Stage(to)
        move = Move(data["move"]) if "move" in data else _likely(stage_from, stage_to)
        return Moved(id_, number, move, stage_from, stage_to, event.time, data.get("owner"))
    except (TypeError, KeyError, ValueError) as error:
        raise BadTask(
            f"The event {event.name!r} tells of no move: {event.data!r:.200}.",
            remedy="Give the events of one queue: those of its two names.",
        ) from error


def _likely(stage_from: Stage, stage_to: Stage | None) -> Move:
    """The first move of the table that leads so."""
    for move, way in MOVES.items():
        if stage_from in way.sources and stage_to == way.target:
            return move
    raise ValueError(f"No move leads from {stage_from!r} to {stage_to!r}.")
