"""From messages that somebody has looked at, again and again, to the rows of a picture.

`Look`s go in, in the order of time: the messages of a queue service as they stood at a
moment. What has changed from one look to the next is a change of the build's state; it is
as old as the message itself says (it knows when it was enqueued, started and ended), else
as the look that saw it first. Values in, rows out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from labs.pictures.builds import BuildRow, Change
from labs.queue_service.messages import ENDED, Message, State

Messages = Callable[[], Sequence[Message]]
"""How one looks: such as by a client, for the newest."""


@dataclass(frozen=True)
class Look:
    """How the messages stood at a moment."""

    at: datetime
    messages: Sequence[Message]


def builds_of(looks: Iterable[Look], *, start: datetime) -> tuple[BuildRow, ...]:
    """A row for each build that had not ended by then, in the order in which they were enqueued.

    `start`: second 0 of the rows; what was before it is at its beginning.
    """
    last: dict[str, Message] = {}
    changes: dict[str, list[Change]] = {}
    for look in looks:

        def second(at: datetime | None, look: Look = look) -> float:
            return max(((at or look.at) - start).total_seconds(), 0.0)

        for message in look.messages:
            if message.ended_at is not None and message.ended_at < start:
                continue
            before = last.get(message.id)
            if before != message:
                told = changes.setdefault(message.id, [])
                _add(told, changes_between(before, message, second))
                last[message.id] = message
    return tuple(
        BuildRow(name_of(one.id), job_of(one), tuple(changes[one.id]), _replaced_by(one))
        for one in sorted(last.values(), key=lambda one: (one.enqueued_at, one.build_id or 0))
    )


def changes_between(
    before: Message | None, now: Message, second: Callable[[datetime | None], float]
) -> list[Change]:
    """What has happened to a message since it was looked at last: several things, perhaps."""
    changes: list[Change] = []
    ended = now.state in ENDED
    if before is None and now.ended_at != now.enqueued_at:
        came_late = ended or now.state is State.RUNNING
        first = State.QUEUED if came_late else now.state
        changes.append(Change(second(now.enqueued_at), first, "" if came_late else why(now)))
    was_running = before is not None and before.started_at == now.started_at
    if now.started_at is not None and not was_running:
        changes.append(Change(second(now.started_at), State.RUNNING, now.owner or ""))
    if ended and (before is None or before.state not in ENDED):
        changes.append(Change(second(now.ended_at), now.state, why(now)))
    elif not ended and now.state is not State.RUNNING:
        changes.append(Change(second(None), now.state, why(now)))
    return changes


def why(message: Message) -> str:
    """Who runs it, what it waits for, what has become of it."""
    if message.state is State.RUNNING:
        return message.owner or ""
    if message.state is State.BLOCKED and message.waits_for is not None:
        return f"by job {message.waits_for}"
    if message.state is State.COLLAPSED and message.replaced_by:
        return f"into {name_of(message.replaced_by)}"
    return message.reason if message.state is State.FAILED else ""


def name_of(id_: str) -> str:
    """What a build is called in the picture: one of a schedule by the time of its run."""
    build, at, run = id_.partition("@")
    return f"@{run.partition('T')[2] or run}" if at else build


def job_of(message: Message) -> str:
    """What its job is called."""
    return f"job {message.job_id} {message.job_name}".rstrip()


def _replaced_by(message: Message) -> str | None:
    return name_of(message.replaced_by) if message.replaced_by else None


def _add(told: list[Change], changes: Iterable[Change]) -> None:
    """Add what is new, in order of time: two looks may have raced with a change."""
    for change in changes:
        if told and (told[-1].state, told[-1].why) == (change.state, change.why):
            continue
        at_s = max(change.at_s, told[-1].at_s) if told else change.at_s
        told.append(Change(at_s, change.state, change.why))
