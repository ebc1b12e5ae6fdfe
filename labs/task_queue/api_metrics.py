"""Numbers of a task queue's server, as Prometheus reads them.

How many tasks are in each stage is asked of the store each time; requests are counted as they
are answered, by the pattern of their path, never by an id. Nothing is kept in globals.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from labs.errors import LabError
from labs.task_queue.queue import TaskQueue

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The numbers of one server."""

    def __init__(self, queue: TaskQueue) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Stages(queue))
        labels = ("method", "path")
        self._requests = Counter(
            "task_queue_requests",
            "Requests answered; 499 is one whose client did not wait.",
            (*labels, "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "task_queue_request_seconds",
            "From a request's header to the end of its answer.",
            labels,
            registry=self._registry,
        )
        self._tasks = Counter(
            "task_queue_handled",
            "Tasks that were put, claimed, settled, … through this server.",
            ("verb",),
            registry=self._registry,
        )

    def tell(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(method, path).observe(seconds)

    def handled(self, verb: str, tasks: int) -> None:
        """Count tasks."""
        self._tasks.labels(verb).inc(tasks)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Stages(Collector):
    """Asks the store how many tasks are in each stage."""

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue

    def describe(self) -> list[Metric]:
        """Nothing: to be registered is no reason to ask the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The stages, or that the store does not answer."""
        up = GaugeMetricFamily("task_queue_up", "1 if the store answers.")
        tasks = GaugeMetricFamily("task_queue_tasks", "Tasks in each stage.", labels=["stage"])
        try:
            for stage, n in self._queue.sizes().items():
                tasks.add_metric([stage], n)
            up.add_metric([], 1)
        except LabError:
            up.add_metric([], 0)
        yield up
        yield tasks
