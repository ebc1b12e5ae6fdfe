"""Canned answers of a queue service, for pages: an empty one, a busy one, one of nasty names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from labs.queue_service.errors import UnknownMessage
from labs.queue_service.messages import (
    ENDED,
    Message,
    MessagePage,
    Sample,
    Schedule,
    Standing,
    State,
    Stats,
)
from labs.queue_service.operations import (
    Discard,
    Find,
    GetSamples,
    GetStats,
    ListMessages,
    ListSchedules,
    Operation,
    Replay,
)

NASTY = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=1">',
    "{{ 7 * 7 }}{% for %}",
    "\u202egnp.exe\u202c",
    "a\x00b\x1b[31mred\nnew line",
    "half a letter \ud800",
    "W" * 3000,
    "Ω≈ç√∫ 構建 बिल्ड 👩‍👩‍👧 نسخة",
    "' OR 1=1; --",
    "</title></style></textarea>--><svg onload=alert(1)>",
)


def message(number: int, now: datetime, **fields: Any) -> Message:
    """A message as the service tells of it; queued, unless the fields say otherwise."""
    usual: dict[str, Any] = {
        "id": str(number),
        "build_id": number,
        "job_id": number % 100 + 1,
        "job_name": "main",
        "state": State.QUEUED,
        "priority": 0,
        "cluster": "",
        "blocked_by": (number % 100 + 1,),
        "waits_for": None,
        "replaced_by": None,
        "attempts": 0,
        "max_attempts": 3,
        "owner": None,
        "enqueued_at": now - timedelta(minutes=7, seconds=number % 60),
        "due": now - timedelta(minutes=7),
        "started_at": None,
        "lease_ends": None,
        "ended_at": None,
        "reason": "",
        "result": None,
        "body": {"buildId": number, "jobId": number % 100 + 1, "container": "node:22"},
    }
    return Message(**{**usual, **fields})


def some_of_each(now: datetime, names: Sequence[str]) -> list[Message]:
    """A few messages in each state, of jobs of these names."""
    ago = timedelta(seconds=83)
    how: Mapping[State, dict[str, Any]] = {
        State.QUEUED: {"priority": 5, "cluster": "linux"},
        State.RUNNING: {
            "attempts": 1,
            "started_at": now - ago,
            "lease_ends": now + timedelta(seconds=37),
        },
        State.BLOCKED: {"waits_for": 7},
        State.FROZEN: {"due": now + timedelta(days=2, hours=3)},
        State.FAILED: {"attempts": 3, "ended_at": now - ago},
        State.DONE: {"attempts": 1, "started_at": now - 2 * ago, "ended_at": now - ago},
        State.COLLAPSED: {"replaced_by": "9001", "ended_at": now - ago},
        State.STOPPED: {"ended_at": now - ago},
    }
    made = []
    for place, state in enumerate(State):
        for n, name in enumerate(names):
            number = 4000 + 100 * place + n
            fields = {"state": state, "job_name": name, **how[state]}
            if state is State.RUNNING:
                fields["owner"] = f"worker {name}"
            if state in (State.FAILED, State.STOPPED):
                fields["reason"] = f"exit status 1: {name}"
            if state in ENDED:
                fields["result"] = {"said": name}
            made.append(message(number, now, **fields, body={"jobName": name, "list": [1, None]}))
    return made


@dataclass
class Answers:
    """Stands for the service where only pages are tried; it does what it is asked, in memory."""

    messages: list[Message] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    asked: list[Operation[Any]] = field(default_factory=list)
    fails_with: Exception | None = None

    @classmethod
    def busy(cls, names: Sequence[str] = ("main", "deploy", "nightly")) -> Answers:
        """With some of all."""
        now = datetime.now(UTC)
        schedules = [
            Schedule(
                job_id=n + 1,
                job_name=name,
                cron="H 9-17 * * MON-FRI",
                hashed="16 9-17 * * MON-FRI",
                time_zone="Europe/Berlin",
                next_run=now + timedelta(hours=n + 1),
                last_run=now - timedelta(days=1) if n else None,
            )
            for n, name in enumerate(names)
        ]
        samples = [
            Sample(
                at=now - timedelta(seconds=10 * n),
                counts={
                    State.QUEUED: int(60 + 50 * math.sin(n / 20)),
                    State.RUNNING: 8 + n % 3,
                    State.BLOCKED: n // 12,
                    State.FROZEN: 3 if n < 90 else 0,
                },
            )
            for n in range(360, 0, -1)
            if not 150 < n < 190
        ]
        return cls(some_of_each(now, names), schedules, samples)

    async def do(self, operation: Operation[Any]) -> Any:
        """As the service does it."""
        self.asked.append(operation)
        if self.fails_with:
            raise self.fails_with
        match operation:
            case GetStats():
                return self._stats()
            case GetSamples(since=since):
                return [one for one in self.samples if one.at >= since]
            case ListSchedules(limit=limit):
                return self.schedules[:limit]
            case Find(id=id_):
                return self._standing(id_)
            case ListMessages():
                return self._page(operation)
            case Replay(ids=ids) | Discard(ids=ids):
                return self._settle(operation, ids)
        raise AssertionError(operation)

    def _stats(self) -> Stats:
        counts = {s: sum(m.state is s for m in self.messages) for s in State}
        owners = {m.owner for m in self.messages if m.owner}
        age = 427.0 if counts[State.QUEUED] else 0.0
        return Stats(counts=counts, workers=len(owners), oldest_age_s=age, at=datetime.now(UTC))

    def _standing(self, id_: str | None) -> Standing:
        for one in self.messages:
            if one.id == id_:
                return Standing(message=one, position=3 if one.state is State.QUEUED else None)
        raise UnknownMessage(f"There is no message {id_!r}.", remedy="Look at the list.")

    def _page(self, wanted: ListMessages) -> MessagePage:
        found = [
            one
            for one in self.messages
            if wanted.state in (None, one.state) and wanted.job_id in (None, one.job_id)
        ]
        begin = int(wanted.after or 0)
        end = begin + wanted.limit
        return MessagePage(messages=found[begin:end], next=str(end) if end < len(found) else None)

    def _settle(self, operation: Replay | Discard, ids: Sequence[str] | None) -> list[str]:
        meant = [
            one
            for one in self.messages
            if one.state is State.FAILED and (ids is None or one.id in ids)
        ]
        for one in meant:
            self.messages.remove(one)
            if isinstance(operation, Replay):
                self.messages.append(replace(one, state=State.QUEUED, attempts=0))
        return [one.id for one in meant]
