"""A trial's two queues, looked into directly at the broker and not through the proxy.

$QUEUE and `$QUEUE.failed`: only those that the program has declared, as the wire
shows, are looked into. What is seen, and what is taken out, goes on record.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from labs.broker import connection as direct
from labs.errors import NotPossibleHere, WaitedTooLong
from labs.journal import Journal
from labs.judge.ground import Ground
from labs.judge.history import History
from labs.waiting import wait_until

REQUEUED_S = 3.0
STEADY_S = 0.2


class Queues:
    """The queues of the trial on this ground."""

    def __init__(self, ground: Ground, journal: Journal, history: History) -> None:
        self._ground, self._journal, self._history = ground, journal, history
        self.name = ground.queue
        """What the program has as $QUEUE."""
        self.failed = f"{self.name}.failed"
        """Where bodies that always fail are to end."""

    def declared(self) -> list[str]:
        """Those of the two that the program has declared."""
        names = {
            one.queue
            for one in self._history.wire.declarations
            if one.answered or one.event.data.get("nowait")
        }
        return [queue for queue in (self.name, self.failed) if queue in names]

    def look(self) -> None:
        """Put on record what is in them now."""
        for queue in self.declared():
            with self._locked_noted(queue):
                if counts := direct.look(self._ground.address, queue):
                    data = {
                        "queue": queue,
                        "ready": counts.ready,
                        "consumers": counts.consumers,
                        "unacknowledged": self._ground.unacknowledged(queue),
                    }
                    self._journal.append("queue", data=data)

    def ready(self, queue: str) -> int:
        """How many messages of the queue are ready; 0 where there is no such queue."""
        with suppress(NotPossibleHere):
            counts = direct.look(self._ground.address, queue)
            return counts.ready if counts else 0
        return 0

    def is_empty(self) -> bool:
        """Whether $QUEUE holds nothing, neither ready nor unacknowledged."""
        return self.ready(self.name) == 0 and not self._ground.unacknowledged(self.name)

    def hold_back(self) -> bool:
        """Whether a message waits in a queue of the program's that will pass it on in time.

        Such a queue dead-letters what has been in it for long enough: a pause before a retry.
        """
        return any(
            self.ready(one.queue) > 0
            for one in self._history.wire.declarations
            if one.queue not in (self.name, self.failed)
            and "x-dead-letter-exchange" in one.arguments
        )

    def publish(self, messages: Iterable[tuple[str, str]]) -> bool:
        """Publish messages, each a body and a message_id, to $QUEUE; whether it was there."""
        return direct.publish(self._ground.address, self.name, messages)

    def take_all(self, queue: str, **more: Any) -> int:
        """Take out what is left in the queue, each message on record; how many there were."""
        with self._locked_noted(queue):
            taken = direct.take_all(self._ground.address, queue)
            for one in taken:
                data = {
                    "queue": queue,
                    "body": one.body.decode("utf-8", "replace"),
                    "message_id": one.message_id,
                    "redelivered": one.redelivered,
                    "headers": plain(one.headers),
                    "delivery_mode": one.delivery_mode,
                }
                self._journal.append("left", data=data | more)
            return len(taken)
        return 0

    def delete(self) -> None:
        """Delete $QUEUE."""
        direct.delete_queues(self._ground.address, [self.name])

    def wait_until_requeued(self) -> None:
        """What the program held goes back to its queue when its connections have ended."""
        if self.name not in self.declared():
            return
        seen: list[tuple[float, int]] = []

        def steady() -> bool:
            held = self._ground.unacknowledged(self.name)
            if held is not None:
                return held == 0
            now, ready = time.monotonic(), self.ready(self.name)
            if not seen or seen[-1][1] != ready:
                seen.append((now, ready))
            return now - seen[-1][0] > STEADY_S

        with suppress(WaitedTooLong):  # the broker's own trouble: what is there now is looked at
            wait_until(steady, REQUEUED_S)

    @contextmanager
    def _locked_noted(self, queue: str) -> Iterator[None]:
        try:
            yield
        except NotPossibleHere as reason:
            self._journal.append("note", "locked", data={"queue": queue, "why": str(reason)})


def plain(value: Any) -> Any:
    """What a broker's header holds, as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
