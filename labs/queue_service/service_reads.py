"""Looking: at messages, pages of them, and at how the queue stands; nothing here writes.

Lookups that wait at the same time are one question to the store. Counts stand in a table, a
position is counted only up to `COUNTED`: no answer costs more with a million messages waiting.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from labs.errors import LabError
from labs.queue_service.errors import BadMessage, UnknownMessage
from labs.queue_service.messages import (
    COUNTED,
    Message,
    MessagePage,
    Sample,
    Schedule,
    Standing,
    State,
    Stats,
)
from labs.queue_service.operations import Find, ListMessages
from labs.queue_service.store import Store
from labs.queue_service.store_rows import message_of, moment, schedule_of
from labs.task_queue.sql_database import Session
from labs.task_queue.sql_values import time_of
from labs.task_queue.tasks import Json

ALL = 2**62
LOOKED_AT = 100
"""Of the oldest messages that are queued, so many are looked at for one that is not delayed."""


def find_all(store: Store, session: Session, asked: Sequence[Find]) -> list[Standing | LabError]:
    """Look messages up, each by its id or its job."""
    ids = {one.id for one in asked if one.id is not None}
    jobs = {one.job_id for one in asked if one.id is None and one.job_id is not None}
    by_id = {one.id: one for one in _messages(store, session, store.say.messages, ids)}
    newest: dict[int | None, Message] = {
        one.job_id: one for one in _messages(store, session, store.say.newest, jobs)
    }
    found = [newest.get(one.job_id) if one.id is None else by_id.get(one.id) for one in asked]
    lines = {
        cluster: _first_in_line(store, session, cluster)
        for cluster in {one.cluster for one in found if one and one.state is State.QUEUED}
    }
    return [
        _unknown(one) if message is None else _standing(message, lines)
        for one, message in zip(asked, found, strict=True)
    ]


def _messages(
    store: Store, session: Session, statement: str, keys: Iterable[Json]
) -> Iterable[Message]:
    return map(message_of, store.by_key(session, statement, keys))


def _first_in_line(store: Store, session: Session, cluster: str) -> dict[str, int]:
    line = store.line(cluster).name
    ((ids,),) = store.run(session, store.say.first_in_line, line=line, n=COUNTED)
    return {id_: i for i, id_ in enumerate(json.loads(ids or "[]"), 1)}


def _standing(message: Message, lines: dict[str, dict[str, int]]) -> Standing:
    if message.state is not State.QUEUED:
        return Standing(message=message, position=None)
    line = lines[message.cluster]
    if message.id in line:
        return Standing(message=message, position=line[message.id])
    if len(line) < COUNTED:  # it is not in it: it waits for a pause to pass
        return Standing(message=message, position=None)
    return Standing(message=message, position=COUNTED + 1, position_at_least=True)


def _unknown(asked: Find) -> UnknownMessage:
    what = f"message {asked.id!r:.80}" if asked.id is not None else f"message of job {asked.job_id}"
    return UnknownMessage(
        f"There is no {what}.",
        remedy="Look for a slip in it; what has ended is kept for some days only.",
    )


def list_messages(store: Store, session: Session, asked: ListMessages) -> MessagePage:
    """A page of messages.

    Raises:
        BadMessage: `after` is no `next` of a page.
    """
    given: dict[str, Any] = {"after": _place(asked.after), "n": asked.limit + 1}
    for name in ("state", "job_id", "cluster"):
        if (value := getattr(asked, name)) is not None:
            given[name] = value
    rows = store.page(session, **given)
    messages = [message_of(row) for row in rows[: asked.limit]]
    more = len(rows) > asked.limit
    return MessagePage(messages=messages, next=str(rows[asked.limit - 1][0]) if more else None)


def _place(after: str | None) -> int:
    if after is None:
        return ALL
    if not after.isascii() or not after.isdigit() or len(after) > 18:
        raise BadMessage(
            f"{after!r:.80} is no place in a list of messages.",
            field="after",
            remedy="Give the next of the page before.",
        )
    return int(after)


def stats(store: Store, session: Session, now: datetime) -> Stats:
    """How the queue stands."""
    counts = {state: int(n) for state, n in store.run(session, store.say.counts)}
    ((workers,),) = store.run(session, store.say.workers)
    oldest = store.run(session, store.say.oldest, n=LOOKED_AT)
    age_s = (datetime.now(now.tzinfo) - time_of(oldest[0][0])).total_seconds() if oldest else 0.0
    return Stats(
        counts={state: counts.get(state, 0) for state in State},
        workers=int(workers),
        oldest_age_s=max(0.0, age_s),
        at=now,
    )


def samples(store: Store, session: Session, since: datetime) -> list[Sample]:
    """How it has stood."""
    rows = store.run(session, store.say.samples, at=since.timestamp())
    return [
        Sample(
            at=moment(at),
            counts={state: counted.get(state, 0) for state in State},
        )
        for at, counted in ((at, json.loads(text)) for at, text in rows)
    ]


def schedules(store: Store, session: Session, limit: int | None) -> list[Schedule]:
    """The first so many of them; None: all."""
    n = ALL if limit is None else limit
    return [schedule_of(row) for row in store.run(session, store.say.schedules, n=n)]
