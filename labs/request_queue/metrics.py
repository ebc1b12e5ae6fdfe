"""Numbers of a queue: how much waits and for how long, how often things were tried, what failed.

`Counts` is an observer of one replica; `of_queue` asks the log how each partition stands.
"""

from __future__ import annotations

import threading
from collections import Counter

from labs.request_queue.events import RequestEvent, What
from labs.request_queue.service import LifecycleRequestQueueService


class Counts:
    """Counts what it is told. May be asked from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[What] = Counter()
        self._last_age_s = 0.0
        self._most_attempts = 0

    def __call__(self, event: RequestEvent) -> None:
        """Be told."""
        with self._lock:
            self._counts[event.what] += 1
            if event.what is What.TAKEN:
                self._last_age_s = max(event.at_s - event.queued_at_s, 0.0)
                self._most_attempts = max(self._most_attempts, event.attempts)

    def numbers(self) -> dict[str, object]:
        """How often each thing happened; how old the last request was when it was taken."""
        with self._lock:
            return {
                **{what.name.lower(): self._counts[what] for what in What},
                "last_age_s": round(self._last_age_s, 3),
                "most_attempts": self._most_attempts,
            }


def of_queue(service: LifecycleRequestQueueService) -> dict[str, object]:
    """How much waits in all, and how each partition stands.

    Raises:
        LogUnreachable: the log does not answer.
    """
    depth = service.depth()
    return {
        "topic": service.settings.topic.name,
        "waiting": sum(lane.waiting for lane in depth),
        "partitions": [
            {
                "partition": lane.partition,
                "first": lane.first,
                "committed": lane.committed,
                "end": lane.end,
            }
            for lane in depth
        ],
    }
