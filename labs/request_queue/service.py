"""The request queue as a driver sees it: queue a request; get a replica's end of the queue.

The one place where settings, log and replicas meet. Topics are made when they are first
needed, so that a service can be built while its log is not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labs.errors import BadInput
from labs.request_queue.configuration import DriverSettings
from labs.request_queue.events import Observer
from labs.request_queue.log import Appended, Log
from labs.request_queue.outcomes import LifecycleMessagingService
from labs.request_queue.requests import LIFECYCLE_FIELDS, at_the_door
from labs.request_queue.work import Handler, RequestHandler
from labs.request_queue.worker import RequestQueue

APPEND_S = 10.0


@dataclass(frozen=True, slots=True)
class Depth:
    """How one partition of the queue stands."""

    partition: int
    first: int
    """The first offset that is still there."""
    committed: int
    """The group is done with what stands before it."""
    end: int
    """The offset that the next request gets."""

    @property
    def waiting(self) -> int:
        """How many records the group is not done with."""
        return self.end - self.committed


class LifecycleRequestQueueService:
    """The request queue of one driver. All methods may be called from any thread."""

    def __init__(
        self,
        log: Log,
        settings: DriverSettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is connected yet.

        Args:
            log: where requests are kept; `close` closes it.
            settings: topics, group, pauses and limits; all have defaults.
            clock: seconds since 1970.

        Raises:
            BadInput: the settings name no topic.
        """
        self.log = log
        self.settings = settings or DriverSettings()
        self.messaging = LifecycleMessagingService(log, self.settings.responses_topic.name)
        self._topic = self.settings.topic.name
        self._clock = clock
        self._made = False

    def queue_lifecycle_request(
        self, request: Mapping[str, Any], *, timeout_s: float = APPEND_S
    ) -> Appended:
        """Queue a request; return when the log has it safely, with the place where it stands.

        Requests with the same `request_id` are done in the order in which they were queued.

        Raises:
            RequestRefused: it is no request (a `ValueError` too); nothing was queued.
            LogUnreachable: the log is not there; nothing was queued.
            NotAppended: the log did not acknowledge it; queued again, it may be there twice.
        """
        key, value = at_the_door(request)
        self.make_topics()
        return self.log.append(self._topic, value, key=key, timeout_s=timeout_s)

    def get_lifecycle_request_queue(
        self,
        name: str,
        handler: RequestHandler | Handler,
        *,
        observer: Observer | None = None,
        required: tuple[str, ...] = LIFECYCLE_FIELDS,
    ) -> RequestQueue:
        """A replica's end of the queue: `process_request()`, `run()`, `close()`.

        Args:
            name: the replica's, for log lines and the observer.
            handler: a `RequestHandler` or a function of the request's dict; True: done,
                False: not yet; raises or returns anything else: answered FAILED.
            observer: is told what becomes of each request (`labs.request_queue.events`).
            required: what a request must have besides `request_id`; without it, it is
                answered FAILED, and the handler not called.

        Raises:
            BadInput: the handler can't be called.
        """
        return RequestQueue(
            self.log,
            handler,
            self.settings,
            send=self.messaging.send_lifecycle_execution,
            name=name,
            required=required,
            prepare=self.make_topics,
            observer=observer,
            clock=self._clock,
        )

    def make_topics(self) -> None:
        """Make the topics that are to be made, once.

        Raises:
            LogUnreachable: the log is not there.
        """
        if self._made:
            return
        queue, events = self.settings.queue, self.settings.messaging.topics
        for topic, wanted in (
            (self.settings.topic, queue.topic.auto_create),
            (self.settings.failed_topic, queue.failed_topic.auto_create),
            (self.settings.responses_topic, events.lifecycle_execution_events.auto_create),
        ):
            if wanted:  # two threads may both ask for it: it is made once
                self.log.ensure_topic(topic)
        self._made = True

    def depth(self) -> list[Depth]:
        """How each partition stands.

        Raises:
            LogUnreachable: the log does not answer.
        """
        committed = self.log.committed(self.settings.queue.group_id, self._topic)
        depths = []
        for partition in self.log.partitions(self._topic):
            first, end = self.log.offsets(partition)
            done = max(committed.get(partition, first), first)
            depths.append(Depth(partition.number, first, done, end))
        return depths

    def check(self, timeout_s: float = 5.0) -> None:
        """Return if the log answers.

        Raises:
            LogUnreachable: it does not.
        """
        self.log.check(timeout_s)

    def close(self) -> None:
        """Close the log. Close the replicas' queues first. Twice is no error."""
        self.log.close()


def open_log(settings: DriverSettings) -> Log:
    """The log that the settings name: Kafka, with the client's own settings passed on.

    Raises:
        BadInput: no address is set, or the client refuses a setting.
    """
    address = settings.connection_address
    try:
        from labs.request_queue.kafka import KafkaLog
    except ImportError as error:
        raise BadInput(
            f"Kafka can't be spoken to here: {error}.",
            remedy="`make lab` installs what is missing (confluent-kafka).",
        ) from error
    return KafkaLog(address, _client_settings(settings))


def _client_settings(settings: DriverSettings) -> dict[str, str | int | float | bool]:
    return {
        **settings.messaging.config,
        "max.poll.interval.ms": settings.queue.max_poll_interval_ms,
    }
