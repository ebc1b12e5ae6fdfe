"""What is written on a job's message beside its bytes: the headers, and who may read them.

The bytes that were queued are never changed. What the queue has to remember (how often
a job was tried, why it has failed) stands in headers, and is read with care: a message may
come from anywhere. `again`, `failed` and `afresh` are the three ways in which a
message goes on.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

from labs.job_queue.bus import Header, Message
from labs.job_queue.jobs import LONGEST_ID_B
from labs.job_queue.outcomes import Result, bounded

ATTEMPTS = "attempts"
UNKNOWN = "unknown"
REASON = "reason"
TRACEBACK = "traceback"
FAILED_AT = "failed_at_ms"
JOB_TYPE = "job_type"
OURS = frozenset({ATTEMPTS, UNKNOWN, REASON, TRACEBACK, FAILED_AT, JOB_TYPE})
LARGEST_COUNT = 1_000_000_000
MOST_HEADERS_B = 64 * 1024
"""A frame must hold all headers; strangers' headers that leave ours no room are left out."""


def attempts_of(message: Message) -> int:
    """How often a handler has tried it."""
    return _count(message.headers, ATTEMPTS)


def unknown_of(message: Message) -> int:
    """How often in a row no handler knew its type."""
    return _count(message.headers, UNKNOWN)


def again(message: Message, *, message_id: str, attempts: int, unknown: int = 0) -> Message:
    """The message as it comes back: the same bytes, and what was counted."""
    headers = {**_strangers(message.headers), ATTEMPTS: attempts}
    if unknown:
        headers[UNKNOWN] = unknown
    return Message(message.body, headers, message_id)


def failed(
    message: Message, result: Result, *, message_id: str, job_type: str, attempts: int
) -> Message:
    """The message as it is kept among the failed: the same bytes, and why."""
    headers: dict[str, Header] = {
        **_strangers(message.headers),
        ATTEMPTS: attempts,
        REASON: result.why,
        FAILED_AT: int(time.time() * 1000),
    }
    if job_type:
        headers[JOB_TYPE] = bounded(job_type, LONGEST_ID_B)
    if result.traceback:
        headers[TRACEBACK] = result.traceback
    return Message(message.body, headers, message_id)


def afresh(message: Message) -> Message:
    """The message as if it had just been queued."""
    return Message(message.body, _strangers(message.headers), message.message_id)


def an_id(*candidates: object) -> str:
    """The first of these that can be a message's id, or a new one."""
    for one in candidates:
        if isinstance(one, str) and one and bounded(one, LONGEST_ID_B) == one:
            return one
    return str(uuid.uuid4())


def _strangers(headers: Mapping[str, Header]) -> dict[str, Header]:
    """The headers that others have put on the message and that go on with it."""
    if not headers:
        return {}
    kept = {name: value for name, value in headers.items() if name not in OURS}
    size_b = sum(
        len(name) + len(str(value).encode("utf-8", "replace")) for name, value in kept.items()
    )
    return kept if size_b <= MOST_HEADERS_B else {}


def _count(headers: Mapping[str, Header], name: str) -> int:
    value = headers.get(name, 0)
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return min(int(value), LARGEST_COUNT) if is_count else 0
