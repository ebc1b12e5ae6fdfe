"""Numbers of a queue service, as Prometheus reads them.

How the queue stands is asked of the service when somebody looks; requests are counted as they
are answered, by the pattern of their path, never by an id or a name: there are only so many
lines. Nothing is kept in globals, and nothing here is a secret.

Several processes that serve at one port count in files of a folder that they share (prometheus'
multiprocess mode), and whichever is asked tells the sum of all: who asks can't choose one. A
process that replaces one that has died counts on from there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from labs.queue_service.messages import Stats

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAITED_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
OPERATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def count_together(folder: Path, place: int) -> None:
    """Let this process, from its first `Metrics` on, count with others in files of a folder.

    Args:
        place: which of them it is: no other has the number at the same time.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]


class Metrics:
    """The numbers of one server, or of several that count together."""

    def __init__(self, together: Path | None = None) -> None:
        """Nothing has been counted yet.

        Args:
            together: the folder of `count_together`, if that was called.
        """
        self._registry = CollectorRegistry()
        self._all = self._registry
        if together is not None:
            self._all = CollectorRegistry()
            MultiProcessCollector(self._all, str(together))  # type: ignore[no-untyped-call]
        labels = ("method", "route")
        requests = Counter(
            "queue_service_requests",
            "Requests answered; 499 is one whose client did not wait.",
            (*labels, "status"),
            registry=self._registry,
        )
        seconds = Histogram(
            "queue_service_request_seconds",
            "From a request's header to the end of its answer.",
            labels,
            registry=self._registry,
            buckets=SECONDS,
        )
        self._requests, self._seconds = cache(requests.labels), cache(seconds.labels)
        self._waited = Histogram(
            "queue_service_dispatch_seconds",
            "From when a message was due to when it was claimed, through this server.",
            registry=self._registry,
            buckets=WAITED_S,
        )
        self._operations = Histogram(
            "queue_service_commit_operations",
            "Operations that were carried out in one transaction.",
            registry=self._registry,
            buckets=OPERATIONS,
        )
        self._commit = Histogram(
            "queue_service_commit_seconds",
            "What a transaction took, its commit with it.",
            registry=self._registry,
            buckets=SECONDS,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests(method, route, str(status)).inc()
        self._seconds(method, route).observe(seconds)

    def committed(self, operations: int, seconds: float, waited_s: Iterable[float]) -> None:
        """Count a transaction. From any thread.

        Args:
            waited_s: how long each message that it handed out had been due.
        """
        self._operations.observe(operations)
        self._commit.observe(seconds)
        for one in waited_s:
            self._waited.observe(one)

    def text(self, stats: Stats | None) -> bytes:
        """All of it, in Prometheus' text format.

        Args:
            stats: how the queue stands; None: the store does not answer.
        """
        queue = CollectorRegistry()
        queue.register(_Standing(stats))
        return generate_latest(queue) + generate_latest(self._all)


class _Standing(Collector):
    """How the queue stands, as gauges."""

    def __init__(self, stats: Stats | None) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """The gauges, or that the store does not answer."""
        up = "queue_service_up", "1 if the store answers."
        yield GaugeMetricFamily(*up, value=float(self._stats is not None))
        if self._stats is None:
            return
        states = GaugeMetricFamily(
            "queue_service_messages",
            "Messages in each state; of those that have ended, as many as are kept.",
            labels=["state"],
        )
        for state, n in self._stats.counts.items():
            states.add_metric([state.value], n)
        yield states
        yield GaugeMetricFamily(
            "queue_service_oldest_age_seconds",
            "How long the oldest message waits that could be claimed.",
            value=self._stats.oldest_age_s,
        )
        yield GaugeMetricFamily(
            "queue_service_workers", "Owners who hold a claim.", value=self._stats.workers
        )
