"""A replica: takes requests from the log one at a time, and commits each when it is safe.

Safe is what was handled, answered, put back, or put whole on the failed topic, and the log has
acknowledged it; then that record's offset is committed, and no other. What can be put nowhere
comes again. Work runs in a thread of its own while the replica goes on polling with
everything paused, so that the longest work keeps its partition; when the partition
goes to another replica all the same, nothing is committed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from labs.errors import BadInput, LabError, WaitedTooLong
from labs.request_queue.configuration import DriverSettings
from labs.request_queue.events import Observer, RequestEvent, What
from labs.request_queue.lifecycle import LifecycleExecution, failed
from labs.request_queue.log import Log, LogUnreachable, NotCommitted, Partition, Record
from labs.request_queue.outcomes import Outcomes
from labs.request_queue.requests import Request, Unreadable, missing_field, read
from labs.request_queue.retention import Retention
from labs.request_queue.share import Share
from labs.request_queue.stopping import Stop, signals_stop
from labs.request_queue.waiting import LOOK_S, Lane, Waiting, pause_s
from labs.request_queue.work import Handler, Hands, RequestHandler, Verdict, Work

logger = logging.getLogger(__name__)
QUICK_S = 0.05
"""Work that ends sooner is not worth pausing the partitions for."""
BEAT_S = 0.1
LONGEST_RETRY_S = 5.0
CLOSING_S = 10.0


class RequestQueue:
    """One replica's end of the queue. One thread calls `process_request` or `run`."""

    def __init__(
        self,
        log: Log,
        handler: RequestHandler | Handler,
        settings: DriverSettings,
        *,
        send: Callable[[LifecycleExecution], None],
        name: str = "replica",
        required: tuple[str, ...] = (),
        prepare: Callable[[], None] = lambda: None,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is connected until the first request is asked for.

        Args:
            log: where requests stand.
            handler: what does them, one at a time.
            settings: topics, group, pauses and limits.
            send: sends a FAILED response.
            name: the replica's, for log lines and the observer.
            required: fields besides `request_id` without which a request is answered FAILED.
            prepare: makes the topics; called before joining the group.
            observer: is told what becomes of each record.
            clock: seconds since 1970.

        Raises:
            BadInput: the handler can't be called, or the settings name no topic.
        """
        queue = settings.queue
        self.name = name
        self._log = log
        self._hands = Hands(handler)
        self._topic = settings.topic.name
        self._group = queue.group_id
        self._pauses = queue.first_pause_s, queue.longest_pause_s
        self._grace_s = queue.grace_s
        self._handover_s = min(queue.grace_s, queue.max_poll_interval_ms / 2000)
        self._outcomes = Outcomes(log, settings.failed_topic.name, send, clock)
        self._required = required
        self._prepare = prepare
        self._observer = observer
        self._clock = clock
        self._retention = Retention(log, self._group, self._topic, queue.processed_retention_s)
        self._share: Share | None = None
        self._lanes: dict[Partition, Lane] = {}
        self._returns: dict[Partition, int] = {}
        self._work: Work | None = None
        self._owed: Record | None = None
        """A record whose outcome is safe and whose commit is not: nothing is taken before it is."""
        self._tries = 0
        self._stop = Stop()
        self._running: threading.Thread | None = None
        self._left = threading.Event()

    def process_request(self, timeout_s: float = 0.2) -> What | None:
        """Take one request and see it through; what became of it. None: none came in time.

        A log that is not there is no error: it is logged, and None returned.

        Raises:
            NoSuchTopic: the topic is not there, and is not to be made.
            BadInput: this queue is closed.
        """
        if self._left.is_set():
            raise BadInput("This request queue is closed.", remedy="Get another.")
        share = self._joined(timeout_s)
        if share is None or (self._owed is not None and not self._pay(share)):
            return None
        self._retention.tick(share.consumer.assignment)
        record = share.take(timeout_s)
        return None if record is None else self._see_through(share, record)

    def run(self) -> None:
        """Process requests until `stop`, SIGTERM or SIGINT; then leave the group.

        Work in hand is given `grace_s` seconds to end; what has not ended comes again elsewhere.
        Signals are heeded where Python lets us: in the main thread.
        """
        self._running = threading.current_thread()
        try:
            with signals_stop(self.stop):
                while not self._stop.wanted:
                    self.process_request()
        finally:
            self._leave()

    def stop(self) -> None:
        """Let `run` end. Returns at once; may be called from any thread and any signal handler."""
        self._stop.want()

    def close(self) -> None:
        """Stop, and leave the group: our partitions go to others at once. Twice is no error.

        While `run` runs, it may be called from any thread, and returns when `run` has left; who
        calls `process_request` calls it in the same thread.
        """
        self.stop()
        if self._running in (None, threading.current_thread()):
            self._leave()
        else:
            self._left.wait(self._grace_s + CLOSING_S)

    def _joined(self, timeout_s: float) -> Share | None:
        if self._share is None:
            try:
                self._prepare()
                consumer = self._log.consumer(
                    self._group,
                    [self._topic],
                    on_revoked=self._on_revoked,
                    on_lost=self._on_lost,
                )
            except (LogUnreachable, WaitedTooLong) as error:
                logger.warning("%s waits for the log: %s", self.name, error)
                self._stop.wait(max(timeout_s, self._retry_s()))
                return None
            self._tries = 0
            self._share = Share(consumer)
        return self._share

    def _leave(self) -> None:
        if not self._left.is_set():
            if self._share is not None:
                self._share.consumer.close()
            self._hands.rest()
            self._left.set()

    def _see_through(self, share: Share, record: Record) -> What | None:
        lane = self._lanes.setdefault(record.partition, Lane())
        waiting = lane.waiting(record)
        if waiting.due_s > self._clock():
            self._let_pass(share, record, lane, waiting)
            return None
        try:
            request = read(record)
        except Unreadable as error:
            return self._settle(record, None, Verdict(why=str(error)))
        if lacking := missing_field(request, self._required):
            where = f"partition {record.partition.number} offset {record.offset}"
            why = f"Lifecycle request for {where} is missing {lacking}."
            return self._settle(record, request.request_id, Verdict(why=why))
        return self._handle(share, request)

    def _handle(self, share: Share, request: Request) -> What:
        self._tell(What.TAKEN, request.record, request.request_id)
        work = self._work = self._hands.begin(request)
        try:
            ended = self._wait_for(share, work)
        finally:
            self._work = None
        if work.settled is not None:
            return work.settled
        if work.lost or not ended:
            why = "the partition went to another replica" if work.lost else "the replica stops"
            self._tell(What.LOST, request.record, request.request_id, why)
            return What.LOST
        return self._settle(request.record, request.request_id, work.verdict)

    def _wait_for(self, share: Share, work: Work) -> bool:
        """Whether the handler has ended; not, if we stop and it takes too long."""
        if work.wait(QUICK_S):
            return True
        give_up_s = float("inf")
        while not work.wait(BEAT_S):
            share.beat()
            if self._stop.wanted:
                give_up_s = min(give_up_s, time.monotonic() + self._grace_s)
            if time.monotonic() >= give_up_s:
                return False
        return True

    def _settle(self, record: Record, request_id: str | None, verdict: Verdict) -> What:
        """Put the outcome where it is safe, then commit; else let the record come again."""
        what = self._put_safe(record, request_id, verdict)
        self._tell(what, record, request_id, verdict.why)
        if what is not What.RETURNED:
            self._commit(record)
        elif self._share is not None:
            self._returns[record.partition] = self._returns.get(record.partition, 0) + 1
            pause = pause_s(self._returns[record.partition], *self._pauses)
            self._share.give_back(record, pause)
        return what

    def _put_safe(self, record: Record, request_id: str | None, verdict: Verdict) -> What:
        try:
            if not verdict.failed:
                return What.DONE if verdict.result else self._put_back(record, request_id)
        except LabError as error:
            logger.warning("%s could not put %s back: %s", self.name, request_id, error)
            return What.RETURNED
        logger.warning("%s: request %s failed: %s", self.name, request_id, verdict.why)
        try:
            if request_id is not None:
                self._outcomes.send(failed(request_id, verdict.why))
                return What.ANSWERED
        except LabError as error:
            logger.warning("%s could not answer %s: %s", self.name, request_id, error)
        try:
            self._outcomes.put_on_failed_topic(record, verdict.why, verdict.traceback)
        except LabError as error:
            logger.warning("%s: request %s comes again: %s", self.name, request_id, error)
            return What.RETURNED
        return What.FAILED

    def _put_back(self, record: Record, request_id: str | None) -> What:
        attempts = self._waiting(record).attempts + 1
        waiting = Waiting(attempts, self._clock() + pause_s(attempts, *self._pauses))
        self._append_again(record, waiting, request_id)
        return What.PUT_BACK

    def _let_pass(self, share: Share, record: Record, lane: Lane, waiting: Waiting) -> None:
        """It is not due yet: let those behind it pass, or hold the partition if there are none."""
        now_s = self._clock()
        try:
            end = self._log.offsets(record.partition)[1]
            if not lane.somebody_behind(record, end, now_s):
                share.give_back(record, lane.hold_s(record, now_s))
            elif (turn_s := lane.until_move_s(now_s)) > 0:
                share.give_back(record, turn_s)
            else:
                lane.moved(now_s)
                self._append_again(record, waiting, None)
                self._tell(What.MOVED, record)
                self._commit(record)
        except LabError as error:
            logger.warning("%s leaves %s alone for now: %s", self.name, record.partition, error)
            share.give_back(record, LOOK_S)

    def _append_again(self, record: Record, waiting: Waiting, request_id: str | None) -> None:
        appended = self._outcomes.put_back(record, waiting, request_id)
        if appended.partition in self._lanes:
            self._lanes[appended.partition].known[appended.offset] = waiting

    def _commit(self, record: Record) -> None:
        if self._share is None:
            return
        try:
            self._share.consumer.commit(record)
        except NotCommitted as error:
            logger.warning("%s: %s", self.name, error)
            self._owed = record
            return
        self._owed, self._tries = None, 0
        self._returns.pop(record.partition, None)
        self._tell(What.COMMITTED, record)
        if record.partition in self._lanes:
            self._lanes[record.partition].passed(record.offset)

    def _pay(self, share: Share) -> bool:
        """Commit what is safe and not committed yet; whether nothing is owed any more."""
        share.beat()
        if self._owed is not None and self._owed.partition not in share.consumer.assignment():
            self._owed = None
        if self._owed is not None:
            self._commit(self._owed)
        if self._owed is not None:
            self._stop.wait(self._retry_s())
        return self._owed is None

    def _retry_s(self) -> float:
        self._tries += 1
        return pause_s(self._tries, 0.1, LONGEST_RETRY_S)

    def _on_revoked(self, partitions: frozenset[Partition]) -> None:
        """They go to others; until we return they are ours. Finish what is in hand, or give up."""
        work = self._work
        if work is not None and work.request.record.partition in partitions:
            if work.wait(self._handover_s):
                request = work.request
                work.settled = self._settle(request.record, request.request_id, work.verdict)
            else:
                work.lost = True
        if self._owed is not None and self._owed.partition in partitions:
            self._commit(self._owed)
        self._forget(partitions)

    def _on_lost(self, partitions: frozenset[Partition]) -> None:
        """They are others' already."""
        if self._work is not None and self._work.request.record.partition in partitions:
            self._work.lost = True
        self._forget(partitions)

    def _forget(self, partitions: frozenset[Partition]) -> None:
        if self._owed is not None and self._owed.partition in partitions:
            self._owed = None
        if self._share is not None:
            self._share.forget(partitions)
        for partition in partitions:
            self._lanes.pop(partition, None)
            self._returns.pop(partition, None)

    def _waiting(self, record: Record) -> Waiting:
        return self._lanes.get(record.partition, Lane()).waiting(record)

    def _tell(
        self, what: What, record: Record, request_id: str | None = None, why: str = ""
    ) -> None:
        if self._observer is None:
            return
        event = RequestEvent(
            what,
            self.name,
            record.partition.topic,
            record.partition.number,
            record.offset,
            self._clock(),
            record.timestamp_ms / 1000,
            request_id,
            self._waiting(record).attempts,
            why,
        )
        try:
            self._observer(event)
        except Exception:
            logger.exception("The observer of %s failed", self.name)
