"""What the tests of the request queue share: a log that refuses, and a replica to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from labs.request_queue import (
    DriverSettings,
    LifecycleRequestQueueService,
    MemoryLog,
    RequestEvent,
    RequestQueue,
    What,
)
from labs.request_queue.log import Appended, Log, NotAppended, Record
from labs.request_queue.work import Handler
from labs.settings import load
from labs.waiting import wait_until

TOPIC = "driver_lifecycle_request_queue"
FAILED = "driver_lifecycle_request_failed_queue"
RESPONSES = "lm_vnfc_lifecycle_execution_events"
QUEUE = "resource_driver.lifecycle_request_queue"


class RefusingLog(MemoryLog):
    """A log that does not take what is appended to some of its topics."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused = set(refused)

    def append(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        timeout_s: float = 10.0,
    ) -> Appended:
        if topic in self.refused:
            raise NotAppended(f"{topic} takes nothing")
        return super().append(topic, value, key=key, headers=headers, timeout_s=timeout_s)


class Clock:
    """Seconds since 1970, as the test says."""

    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class Replica:
    """A replica, what its observer was told, and what stands in the log."""

    def __init__(
        self,
        handler: Handler,
        log: Log | None = None,
        *,
        name: str = "replica",
        required: tuple[str, ...] = (),
        clock: Clock | None = None,
        **queue_settings: Any,
    ) -> None:
        self.log = log or MemoryLog()
        self.told: list[RequestEvent] = []
        self.service = LifecycleRequestQueueService(
            self.log, settings(**queue_settings), **({"clock": clock} if clock else {})
        )
        self.queue: RequestQueue = self.service.get_lifecycle_request_queue(
            name, handler, observer=self.told.append, required=required
        )

    def queues(self, request_id: str = "a", **fields: Any) -> Appended:
        return self.service.queue_lifecycle_request({"request_id": request_id, **fields})

    def appends(self, value: bytes, key: bytes | None = b"a") -> Appended:
        """As somebody else might, past our door."""
        self.service.make_topics()
        return self.log.append(TOPIC, value, key=key)

    def processes(self, timeout_s: float = 10.0) -> What:
        """Process the next request; what became of it."""
        return wait_until(self.queue.process_request, timeout_s, what="a request")

    def saw(self, *kinds: What) -> list[RequestEvent]:
        return [event for event in self.told if event.what in kinds]

    @property
    def committed(self) -> dict[int, int]:
        """Partition's number to the group's committed offset."""
        settings = self.service.settings
        found = self.log.committed(settings.queue.group_id, settings.topic.name)
        return {partition.number: offset for partition, offset in found.items()}

    @property
    def responses(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in records(self.log, RESPONSES)]

    @property
    def failed(self) -> list[Record]:
        return records(self.log, self.service.settings.failed_topic.name)


def settings(**queue: Any) -> DriverSettings:
    """Settings with these keys of the queue's own section; `__` stands for a dot."""
    arguments = {f"{QUEUE}.{key.replace('__', '.')}": value for key, value in queue.items()}
    return load(DriverSettings, arguments=arguments)


def records(log: Log, topic: str) -> list[Record]:
    """All records of a topic, in the order of partitions and offsets."""
    if isinstance(log, MemoryLog):
        rows = [log.rows[known] for known in sorted(log.rows) if known.topic == topic]
        return [record for row in rows for record in row.records]
    partitions = log.partitions(topic)
    left = {known: log.offsets(known)[1] - log.offsets(known)[0] for known in partitions}
    found: list[Record] = []
    consumer = log.consumer(f"reader-{id(found)}", [topic])
    try:

        def all_read() -> bool:
            record = consumer.poll(0.1)
            if record is not None:
                found.append(record)
            return len(found) >= sum(left.values())

        wait_until(all_read, 20, what=f"all records of {topic}", interval_s=0)
    finally:
        consumer.close()
    return sorted(found, key=lambda record: (record.partition, record.offset))
