"""Values on their way into rows and out of them.

PostgreSQL's text can't hold a NUL, and an id may: it is written as two characters, and read back.
Bodies and results are JSON text. Times come from PostgreSQL as times, from SQLite as seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from labs.task_queue.errors import BadTask
from labs.task_queue.stages import MOVES, Move, Stage
from labs.task_queue.tasks import Hold, Json, Moved, NewTask, Standing, Task

ESCAPE = "\x01"
NUL_ESCAPED, ESCAPE_ESCAPED = "\x01\x02", "\x01\x03"


def escaped(value: str) -> str:
    """The text as a database can hold it."""
    if "\0" not in value and ESCAPE not in value:
        return value
    return value.replace(ESCAPE, ESCAPE_ESCAPED).replace("\0", NUL_ESCAPED)


def plain(value: str) -> str:
    """The text that `escaped` was given."""
    if ESCAPE not in value:
        return value
    return value.replace(NUL_ESCAPED, "\0").replace(ESCAPE_ESCAPED, ESCAPE)


def time_of(value: datetime | float) -> datetime:
    """A time from a row, in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return datetime.fromtimestamp(value, UTC)


def maybe(convert: Callable[[Any], Any], value: Any) -> Any:
    """NULL is None."""
    return None if value is None else convert(value)


def items(holds: Iterable[Hold], more: Callable[[Hold], Mapping[str, Json]]) -> str:
    """What is said of tasks that are to be moved, as the parameter `items`."""
    said = [
        {
            "key": escaped(hold.id),
            "hand": maybe(escaped, hold.owner),
            "nth": hold.move,
            **more(hold),
        }
        for hold in holds
    ]
    # In the order in which their rows are then locked.
    return json.dumps(sorted(said, key=lambda one: str(one["key"])))


def new_row(key: str, task: NewTask) -> dict[str, Json]:
    """A task that is to be put, as one of `items`."""
    return {
        "key": key,
        "body": task.text,
        "priority": task.priority,
        "delay_s": task.delay_s,
        "max_attempts": task.max_attempts,
        "backoff_s": task.backoff_s,
    }


def standing_of(row: Sequence[Any]) -> Standing:
    """From the columns of `sql_text.STANDING`."""
    _, stage, owner, moves, wake = row[:5]
    ends = maybe(time_of, wake) if stage == Stage.PROCESSING else None
    return Standing(Stage(stage), maybe(plain, owner), moves, ends)


def task_of(row: Sequence[Any]) -> Task:
    """From the columns of `sql_text.TASK`."""
    standing = standing_of(row)
    (body, priority, attempts, max_attempts, backoff_s, due, put_at, claimed_at) = row[5:13]
    settled_at, result, reason = row[13:16]
    return Task(
        id=plain(row[0]),
        stage=standing.stage,
        body=json.loads(body),
        priority=priority,
        attempts=attempts,
        max_attempts=max_attempts,
        backoff_s=backoff_s,
        moves=standing.moves,
        owner=standing.owner,
        lease_ends=standing.lease_ends,
        due=time_of(due),
        put_at=time_of(put_at),
        claimed_at=maybe(time_of, claimed_at),
        settled_at=maybe(time_of, settled_at),
        result=maybe(json.loads, result),
        reason=reason,
    )


def put_told(task: NewTask, at: datetime | float) -> Moved:
    """The move that has put the task."""
    return Moved(task.id, 1, Move.PUT, None, Stage.WAITING, time_of(at), text=task.text)


def moved_by(move: Move, row: Sequence[Any]) -> Moved:
    """A move, from the columns that a statement returns which moves: id, moves, owner, time.

    From where it came is in the table of moves, where there is one answer; of a purge, the
    stage stands at the end of the row.
    """
    id_, number, owner, at = row[:4]
    target = MOVES[move].target
    (source,) = {Stage(row[4])} if move is Move.PURGE else MOVES[move].sources
    return Moved(plain(id_), number, move, source, target, time_of(at), maybe(plain, owner))


def place_of(after: str | None) -> int:
    """The number in `Page.next`.

    Raises:
        BadTask: it is none.
    """
    if after is None:
        return 0
    if not after.isascii() or not after.isdigit() or len(after) > 18:
        raise BadTask(
            f"{after!r:.80} is no place in a list of tasks.",
            remedy="Give the next of the page before.",
        )
    return int(after)


def moved_as_text(moves: Iterable[Moved]) -> str:
    """Moves as JSON, to be told later."""
    names = [one.name for one in fields(Moved)]
    plain_moves = ({name: getattr(moved, name) for name in names} for moved in moves)
    return json.dumps([one | {"at": one["at"].isoformat()} for one in plain_moves])


def moved_from_text(text: str) -> list[Moved]:
    """What `moved_as_text` has written."""
    return [
        Moved(
            **one
            | {
                "at": datetime.fromisoformat(one["at"]),
                "move": Move(one["move"]),
                "stage_from": maybe(Stage, one["stage_from"]),
                "stage_to": maybe(Stage, one["stage_to"]),
            }
        )
        for one in json.loads(text)
    ]
