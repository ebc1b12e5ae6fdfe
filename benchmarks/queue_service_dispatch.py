"""From POST to dispatch: how long it takes on an idle queue, and whether it starves on a busy one.

On an idle queue a claim waits (long poll) on a connection of its own; then a build is posted on
another, to the same instance or to another one on the same store. On a busy one wrk posts as fast
as it can, while workers (wrk too, sixteen of them, one message at a time) claim and settle.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from benchmarks.queue_service_load import Load, Told, Wrk, told

IDLE_FROM = 9_000_000_000
WORKERS = 16
WAITED_S = 20
SETTLE_S = 0.05
"""Between a claim's request and the build's, so that it waits when that comes."""


@dataclass(frozen=True)
class Latency:
    """From the first byte of a POST to the claim's answer, in ms."""

    p50_ms: float
    p99_ms: float
    most_ms: float
    tries: int


@dataclass(frozen=True)
class Busy:
    """Dispatch while nobody enqueues, and while wrk does so at full speed, a second."""

    alone: float
    beside: float
    enqueued: float
    enqueued_p99_ms: float


class Asker:
    """A connection on which requests are made one after the other."""

    def __init__(self, url: str, token: str) -> None:
        self._link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, path: str, said: Mapping[str, Any]) -> Any:
        """POST something; what is answered."""
        self._link.request("POST", f"/v1/queue/{path}", json.dumps(said), self._headers)
        answer = self._link.getresponse()
        body = answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{path} was answered with {answer.status}: {body[:300]!r}")
        return json.loads(body)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


def latency(post_to: str, claim_at: str, token: str, tries: int) -> Latency:
    """Post builds one by one, each when a claim waits for it."""
    with closing(Asker(post_to, token)) as poster, closing(Asker(claim_at, token)) as worker:
        took = sorted(_latencies(poster, worker, tries))
    return Latency(
        took[len(took) // 2] * 1e3, took[int(len(took) * 0.99)] * 1e3, took[-1] * 1e3, tries
    )


def _latencies(poster: Asker, worker: Asker, tries: int) -> Iterator[float]:
    first = IDLE_FROM + time.time_ns() // 1_000_000 % 1_000_000_000
    for build in range(first, first + tries):
        got: list[tuple[Any, float]] = []

        def claim(got: list[tuple[Any, float]] = got) -> None:
            said = worker.ask("claim", {"owner": "idle", "leaseS": 60, "waitS": WAITED_S})
            got.append((said["claimed"], time.perf_counter()))

        waiting = threading.Thread(target=claim)
        waiting.start()
        time.sleep(SETTLE_S)
        posted = time.perf_counter()
        poster.ask("message", {"buildId": build, "jobId": build, "blockedBy": [build]})
        waiting.join()
        ((claimed,), at) = got[0]
        assert claimed["buildId"] == build, f"{claimed['buildId']} came in place of {build}"
        worker.ask("ack", {name: claimed[name] for name in ("id", "owner", "move")})
        yield at - posted


WORK = Load("work", connections=WORKERS, threads=WORKERS)


def busy(wrk: Wrk, url: str, start: Load, seconds: float) -> Busy:
    """Workers alone, and beside starts at full speed. Something must wait in the queue."""
    alone = wrk.run(WORK, url, seconds)
    with wrk.running(WORK, url, seconds) as working, wrk.running(start, url, seconds) as starting:
        said, errors = working.communicate()
        beside = told(WORK, said, errors)
        enqueued = told(start, *starting.communicate())
    return Busy(_settled(alone), _settled(beside), enqueued.rate, enqueued.p99_ms)


def _settled(one: Told) -> float:
    return one.counted / one.took_s
