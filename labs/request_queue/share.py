"""A replica's share of the partitions: which of them flow, and which are held for a while.

It wraps the log's consumer, and belongs to the same thread. `take` gives the next record;
`beat` gives none, but says that we live, while a handler is at work; a record can be
given back, to be the next of its partition again after a pause.
"""

from __future__ import annotations

import time

from labs.request_queue.log import Consumer, Partition, Record


class Share:
    """The partitions that are ours, as they flow."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self._held_until_s: dict[Partition, float] = {}
        self._paused: frozenset[Partition] = frozenset()

    def take(self, timeout_s: float) -> Record | None:
        """The next record of a partition that is not held; None: none came in time."""
        if self._held_until_s:
            now_s = time.monotonic()
            for partition in [held for held, until in self._held_until_s.items() if until <= now_s]:
                del self._held_until_s[partition]
            soonest_s = min(self._held_until_s.values(), default=now_s + timeout_s) - now_s
            timeout_s = min(timeout_s, soonest_s)
        self._pause_just(frozenset(self._held_until_s))
        return self.consumer.poll(timeout_s)

    def beat(self) -> None:
        """Say that we live, and take nothing."""
        self._pause_just(self.consumer.assignment())
        stray = self.consumer.poll(0)
        if stray is not None:  # of a partition that became ours in this very moment
            self.consumer.seek(stray)
            self._pause_just(self.consumer.assignment())

    def give_back(self, record: Record, pause_s: float) -> None:
        """Let the record be the next of its partition again, after the pause."""
        self.consumer.seek(record)
        self._held_until_s[record.partition] = time.monotonic() + pause_s

    def forget(self, partitions: frozenset[Partition]) -> None:
        """They are ours no more; should they come back, they flow."""
        self._paused -= partitions
        for partition in partitions:
            self._held_until_s.pop(partition, None)

    def _pause_just(self, partitions: frozenset[Partition]) -> None:
        if partitions == self._paused:
            return
        self.consumer.pause(*(partitions - self._paused))
        self.consumer.resume(*(self._paused - partitions))
        self._paused = partitions
