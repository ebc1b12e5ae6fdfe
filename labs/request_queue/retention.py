"""Deletes requests from the log an hour after they were processed, and never one that was not.

The topic itself keeps its records for ever: a broker's own retention looks at a record's age
and not at whether anybody has done it, so work that waits out an outage would vanish.
Sixty times per retention a replica notes how far the group has committed; what was
committed by a note that is older than the retention is deleted, in the replica's own partitions.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping

from labs.errors import LabError, NotPossibleHere
from labs.request_queue.log import Log, Partition

logger = logging.getLogger(__name__)
NOTES = 60


class Retention:
    """The deleting of one replica. It belongs to the thread that calls it."""

    def __init__(
        self,
        log: Log,
        group: str,
        topic: str,
        retention_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`retention_s`: how long processed requests are kept; 0: for ever."""
        self._log = log
        self._group = group
        self._topic = topic
        self._retention_s = retention_s
        self._clock = clock
        self._possible = retention_s > 0
        self._next_s = clock()
        self._notes: deque[tuple[float, Mapping[Partition, int]]] = deque()

    def tick(self, ours: Callable[[], frozenset[Partition]]) -> None:
        """Note and delete, if it is time. What fails here is logged, and stops no work."""
        now_s = self._clock()
        if not self._possible or now_s < self._next_s:
            return
        self._next_s = now_s + self._retention_s / NOTES
        try:
            self._notes.append((now_s, self._log.committed(self._group, self._topic)))
            while self._notes and self._notes[0][0] <= now_s - self._retention_s:
                self._delete(self._notes[0][1], ours())
                self._notes.popleft()
        except NotPossibleHere as error:
            logger.info("Processed requests stay in the log: %s", error)
            self._possible = False
        except LabError as error:
            logger.warning("Processed requests are deleted later: %s", error)

    def _delete(self, committed: Mapping[Partition, int], ours: frozenset[Partition]) -> None:
        for partition, offset in committed.items():
            if partition in ours and offset > self._log.offsets(partition)[0]:
                self._log.delete_before(partition, offset)
