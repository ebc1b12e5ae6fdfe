"""Settles a record: puts its outcome where it is safe, and then, and only then, commits it.

The order is the promise: answered, on the failed topic, or put back, with the log's
acknowledgement; then that one record's offset. What can be put nowhere is given back, to come
again after a pause. A commit that fails is owed, and nothing else is taken before it is made.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable

from labs.errors import LabError
from labs.request_queue.events import Observer, RequestEvent, What
from labs.request_queue.lifecycle import failed
from labs.request_queue.log import Log, NotCommitted, Partition, Record
from labs.request_queue.outcomes import Outcomes
from labs.request_queue.share import Share
from labs.request_queue.waiting import LOOK_S, Lane, Waiting, pause_s
from labs.request_queue.work import Verdict

logger = logging.getLogger(__name__)


class Settlement:
    """The settling of one replica. It belongs to the replica's thread."""

    def __init__(
        self,
        log: Log,
        outcomes: Outcomes,
        *,
        name: str,
        pauses: tuple[float, float],
        observer: Observer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`pauses`: the first and the longest, in seconds; `clock`: seconds since 1970."""
        self._log = log
        self._outcomes = outcomes
        self._name = name
        self._pauses = pauses
        self._observer = observer
        self._clock = clock
        self._lanes: defaultdict[Partition, Lane] = defaultdict(Lane)
        self._returns: dict[Partition, int] = {}
        """How often in a row the partition's next record could be put nowhere."""
        self.owed: Record | None = None
        """A record whose outcome is safe and whose commit is not."""

    def settle(
        self, share: Share, record: Record, request_id: str | None, verdict: Verdict
    ) -> What:
        """Put the outcome where it is safe, then commit; else let the record come again."""
        what = self._put_safe(record, request_id, verdict)
        self.tell(what, record, request_id, verdict.why)
        if what is not What.RETURNED:
            self.commit(share, record)
            return what
        self._returns[record.partition] = self._returns.get(record.partition, 0) + 1
        share.give_back(record, pause_s(self._returns[record.partition], *self._pauses))
        return what

    def waits(self, share: Share, record: Record) -> bool:
        """Whether the record is one that was put back and is not due yet; if so, it is seen to.

        Those behind it are let pass, or the partition is held if there are none.
        """
        lane, now_s = self._lanes[record.partition], self._clock()
        waiting = lane.waiting(record)
        if waiting.due_s <= now_s:
            return False
        try:
            end = self._log.offsets(record.partition)[1]
            if not lane.somebody_behind(record, end, now_s):
                share.give_back(record, lane.hold_s(record, now_s))
            elif (turn_s := lane.until_move_s(now_s)) > 0:
                share.give_back(record, turn_s)
            else:
                lane.moved(now_s)
                self._append_again(record, waiting, None)
                self.tell(What.MOVED, record)
                self.commit(share, record)
        except LabError as error:
            logger.warning("%s leaves %s alone for now: %s", self._name, record.partition, error)
            share.give_back(record, LOOK_S)
        return True

    def commit(self, share: Share, record: Record) -> None:
        """Commit the record, or owe it."""
        try:
            share.consumer.commit(record)
        except NotCommitted as error:
            logger.warning("%s: %s", self._name, error)
            self.owed = record
            return
        self.owed = None
        self._returns.pop(record.partition, None)
        self.tell(What.COMMITTED, record)
        self._lanes[record.partition].passed(record.offset)

    def pay(self, share: Share) -> bool:
        """Commit what is owed; whether nothing is owed any more."""
        share.beat()  # the partition may be gone by now, and the debt with it
        if self.owed is not None:
            self.commit(share, self.owed)
        return self.owed is None

    def hand_over(self, share: Share, partitions: frozenset[Partition]) -> None:
        """They go to others: commit what is owed, while they are ours."""
        if self.owed is not None and self.owed.partition in partitions:
            self.commit(share, self.owed)
        self.forget(partitions)

    def forget(self, partitions: frozenset[Partition]) -> None:
        """They are others' now."""
        if self.owed is not None and self.owed.partition in partitions:
            self.owed = None
        for partition in partitions:
            self._lanes.pop(partition, None)
            self._returns.pop(partition, None)

    def tell(
        self, what: What, record: Record, request_id: str | None = None, why: str = ""
    ) -> None:
        """Tell the observer."""
        if self._observer is None:
            return
        event = RequestEvent(
            what,
            self._name,
            record.partition.topic,
            record.partition.number,
            record.offset,
            self._clock(),
            record.timestamp_ms / 1000,
            request_id,
            self._lanes[record.partition].waiting(record).attempts,
            why,
        )
        try:
            self._observer(event)
        except Exception:
            logger.exception("The observer of %s failed", self._name)

    def _put_safe(self, record: Record, request_id: str | None, verdict: Verdict) -> What:
        if verdict.failed:
            logger.warning("%s: request %s failed: %s", self._name, request_id, verdict.why)
            return self._put_failure_safe(record, request_id, verdict)
        if verdict.result:
            return What.DONE
        attempts = self._lanes[record.partition].waiting(record).attempts + 1
        due_s = self._clock() + pause_s(attempts, *self._pauses)
        try:
            self._append_again(record, Waiting(attempts, due_s), request_id)
        except LabError as error:
            logger.warning("%s could not put %s back: %s", self._name, request_id, error)
            return What.RETURNED
        return What.PUT_BACK

    def _put_failure_safe(self, record: Record, request_id: str | None, verdict: Verdict) -> What:
        if request_id is not None:
            try:
                self._outcomes.send(failed(request_id, verdict.why))
            except LabError as error:
                logger.warning("%s could not answer %s: %s", self._name, request_id, error)
            else:
                return What.ANSWERED
        try:
            self._outcomes.put_on_failed_topic(record, verdict.why, verdict.traceback)
        except LabError as error:
            logger.warning("%s: request %s comes again: %s", self._name, request_id, error)
            return What.RETURNED
        return What.FAILED

    def _append_again(self, record: Record, waiting: Waiting, request_id: str | None) -> None:
        appended = self._outcomes.put_back(record, waiting, request_id)
        if appended.partition in self._lanes:
            self._lanes[appended.partition].known[appended.offset] = waiting
