"""Where the outcome of a request is put so that it is safe, before its offset is committed.

Each method appends to the log and returns when the log has acknowledged it; what the
log does not take is raised, and then nothing may be committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from labs.errors import BadInput
from labs.request_queue.lifecycle import LifecycleExecution
from labs.request_queue.log import Appended, Log, Record
from labs.request_queue.waiting import Waiting


class LifecycleMessagingService:
    """Sends responses. Its method may be called from any thread."""

    def __init__(self, log: Log, topic: str) -> None:
        """`topic`: where responses go."""
        self._log = log
        self._topic = topic

    def send_lifecycle_execution(self, execution: LifecycleExecution) -> None:
        """Send a response; return when the log has it.

        Raises:
            BadInput: its outputs or topology are not JSON.
            NotAppended: the log did not take it.
        """
        try:
            value = execution.to_bytes()
        except (TypeError, ValueError) as error:
            raise BadInput(
                f"The response to {execution.request_id} is not JSON: {error}.",
                remedy="Keep to dicts with string keys, lists, strings, numbers, booleans, None.",
            ) from error
        self._log.append(self._topic, value, key=execution.request_id.encode("utf-8", "replace"))


class Outcomes:
    """Puts outcomes where they are safe."""

    def __init__(
        self,
        log: Log,
        failed_topic: str,
        send: Callable[[LifecycleExecution], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`send`: how a response is sent; `clock`: seconds since 1970."""
        self._log = log
        self._failed_topic = failed_topic
        self.send = send
        self._clock = clock

    def put_on_failed_topic(self, record: Record, why: str, trace: str = "") -> None:
        """The record as it is, whole, with the reason beside it.

        Raises:
            NotAppended: the log did not take it.
        """
        headers = {
            **record.headers,
            "reason": why.encode("utf-8", "replace"),
            "topic": record.partition.topic.encode(),
            "partition": str(record.partition.number).encode(),
            "offset": str(record.offset).encode(),
            "failed-at": str(round(self._clock() * 1000)).encode(),
        }
        if trace:
            headers["traceback"] = trace.encode("utf-8", "replace")
        self._log.append(self._failed_topic, record.value or b"", key=record.key, headers=headers)

    def put_back(self, record: Record, waiting: Waiting, request_id: str | None) -> Appended:
        """The same bytes behind what waits in the partition (the request's own, if it had no key).

        Raises:
            NotAppended: the log did not take it.
        """
        return self._log.append(
            record.partition.topic,
            record.value or b"",
            key=record.key or (request_id.encode("utf-8", "replace") if request_id else None),
            headers=waiting.headers(record.headers),
        )
