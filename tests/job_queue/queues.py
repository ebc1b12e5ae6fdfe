"""Job queues for tests: replicas on one ground, their attempts on record.

`Replicas` makes as many as a test wants, each with a client of its own, quick pauses and
the same name. `Gate` is a handler that tells who is in it and lets nobody out before it
is opened: so a test knows where a job is, and waits for events, never for time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from labs.job_queue.bus import Bus, Message
from labs.job_queue.jobs import Job
from labs.job_queue.outcomes import Attempt
from labs.job_queue.service import JobQueue
from labs.waiting import wait_until

if TYPE_CHECKING:
    from tests.job_queue.conftest import Ground

NAME = "jobs"
TIMEOUT_S = 30.0
QUICK = {"first_pause_s": 0.05, "longest_pause_s": 0.2, "grace_s": 20.0}


class Replicas:
    """Makes job queues on a ground, and closes them at the end."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.attempts: list[Attempt] = []
        self.bus: Bus = ground.connect()
        """A client for looking."""
        self._made: list[JobQueue] = []

    def __call__(self, **options: Any) -> JobQueue:
        """One more replica."""
        given: dict[str, Any] = QUICK | {"observer": self.attempts.append} | options
        self._made.append(JobQueue(self.ground.connect(), NAME, **given))
        return self._made[-1]

    def put(self, *bodies: bytes) -> None:
        """Put raw messages into the work queue, as a stranger would."""
        self.bus.publish(NAME, [Message(body) for body in bodies])

    def wait_for_attempts(self, number: int) -> list[Attempt]:
        """Wait until there were so many attempts."""
        wait_until(
            lambda: len(self.attempts) >= number,
            TIMEOUT_S,
            what=f"{number} attempts, not {self.attempts}",
            interval_s=0.01,
        )
        return list(self.attempts)

    def close(self) -> None:
        """Stop all of them."""
        for queue in self._made:
            queue.close()


class Gate:
    """A handler that holds its jobs until it is opened."""

    def __init__(self, *, answer: bool = True, open_: bool = False) -> None:
        self.answer = answer
        self.came: Counter[str] = Counter()
        """How often each job came in, by its id."""
        self.most_inside = 0
        self._inside = 0
        self._lock = threading.Lock()
        self._open = threading.Event()
        if open_:
            self._open.set()

    def __call__(self, job: Job) -> bool:
        with self._lock:
            self._inside += 1
            self.most_inside = max(self.most_inside, self._inside)
            self.came[job["job_id"]] += 1
            answer = self.answer
        self._open.wait(TIMEOUT_S)
        with self._lock:
            self._inside -= 1
        return answer

    def open(self) -> None:
        """Let out who is inside, and hold nobody any more."""
        self._open.set()

    def wait_for(self, number: int) -> None:
        """Wait until so many have come in."""
        wait_until(
            lambda: self.came.total() >= number,
            TIMEOUT_S,
            what=f"{number} jobs in the gate, not {self.came}",
            interval_s=0.01,
        )


def of_type(job_type: str, names: Iterable[object]) -> list[Job]:
    """Jobs of this type, each with a name as its id."""
    return [{"job_type": job_type, "job_id": f"{job_type}-{name}"} for name in names]
