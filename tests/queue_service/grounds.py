"""What the queue service's tests share: a clock that one sets, services, starts in few words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from labs.queue_service.messages import Claimed, Enqueued, Message, State
from labs.queue_service.operations import Ack, Claim, Find, Held, Nack, Start
from labs.queue_service.service import QueueService

TIMEOUT_S = 30.0
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is set on."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def pass_(self, **time: float) -> None:
        """Let so much pass: `pass_(hours=1)`."""
        self.now += timedelta(**time)


@dataclass
class Ground:
    """A queue that is empty at first, and nobody else's; any number of services on it."""

    url: str
    name: str
    clock: Clock = field(default_factory=Clock)
    _open: ExitStack = field(default_factory=ExitStack)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is in a SQLite file."""
        return self.url.startswith("sqlite")

    def open(self, *, clock: Callable[[], datetime] | None = None, **options: Any) -> QueueService:
        """One more instance; it is closed at the end of the test. The clock is the store's
        unless one is given."""
        return self._open.enter_context(
            QueueService.at(self.url, self.name, clock=clock, **options)
        )

    def close(self) -> None:
        """Close all instances."""
        self._open.close()


def start(build_id: int, job_id: int = 1, **options: Any) -> Start:
    """A start; its job blocks itself unless `blocked_by` says otherwise."""
    return Start(
        build_id=build_id,
        job_id=job_id,
        body={"buildId": build_id, "jobId": job_id},
        **{"blocked_by": (job_id,)} | options,
    )


def put(service: QueueService, build_id: int, job_id: int = 1, **options: Any) -> Enqueued:
    """Enqueue a message."""
    return service.call(start(build_id, job_id, **options))


def claim(service: QueueService, n: int = 1, **options: Any) -> list[Claimed]:
    """Claim up to so many."""
    return list(service.call(Claim(n=n, **{"owner": "worker"} | options)))


def claim_one(service: QueueService, **options: Any) -> Claimed:
    """Claim the next one, which is there."""
    (claimed,) = claim(service, **options)
    return claimed


def held(claimed: Claimed) -> Held:
    """How a claim is named with the verbs that follow."""
    return Held(id=claimed.id, owner=claimed.owner, move=claimed.move)


def ack(service: QueueService, claimed: Claimed, result: Any = None) -> State:
    """The build is done."""
    return service.call(Ack(held=held(claimed), result=result))


def nack(service: QueueService, claimed: Claimed, **options: Any) -> State:
    """The attempt has failed."""
    return service.call(Nack(held=held(claimed), **options))


def look(service: QueueService, id_: int | str) -> Message:
    """All that is known of a message."""
    return service.call(Find(id=str(id_))).message


def state(service: QueueService, id_: int | str) -> State:
    """Where it is."""
    return look(service, id_).state
