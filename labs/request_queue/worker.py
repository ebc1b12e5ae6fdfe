"""A replica: takes requests from the log one at a time, and sees each through.

Work runs in a thread of its own while the replica goes on polling with everything paused, so
that the longest work keeps its partition. When the partition goes to another replica all the
same, work in hand has a while to end and be settled (`labs.request_queue.settlement`); after
that nothing is committed, answered or put back: the other does it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from labs.errors import BadInput, WaitedTooLong
from labs.request_queue.configuration import DriverSettings
from labs.request_queue.events import Observer, What
from labs.request_queue.lifecycle import LifecycleExecution
from labs.request_queue.log import Log, LogUnreachable, Partition, Record
from labs.request_queue.outcomes import Outcomes
from labs.request_queue.requests import Request, Unreadable, missing_field, read
from labs.request_queue.retention import Retention
from labs.request_queue.settlement import Settlement
from labs.request_queue.share import Share
from labs.request_queue.waiting import pause_s
from labs.request_queue.work import Handler, Hands, RequestHandler, Verdict, Work
from labs.stopping import Stop, signals_stop

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
        self._topic, self._group = settings.topic.name, queue.group_id
        self._hands = Hands(handler)
        self._required = required
        self._prepare = prepare
        self._grace_s = queue.grace_s
        self._handover_s = min(queue.grace_s, queue.max_poll_interval_ms / 2000)
        self._settlement = Settlement(
            log,
            Outcomes(log, settings.failed_topic.name, send, clock),
            name=name,
            pauses=(queue.first_pause_s, queue.longest_pause_s),
            observer=observer,
            clock=clock,
        )
        self._retention = Retention(log, self._group, self._topic, queue.processed_retention_s)
        self._share: Share | None = None
        self._work: Work | None = None
        self._tries = 0
        self._stop = Stop()
        self._running: threading.Thread | None = None
        self._left = threading.Event()

    def process_request(self, timeout_s: float = 0.2) -> What | None:
        """Take one request and see it through; what became of it. None: none came in time.

        A log that is not there is no error: it is logged, and None returned.

        Raises:
            NoSuchTopic: the topic is not there, and is not to be made.
            LogUnreachable: the log refuses us for good.
            BadInput: this queue is closed.
        """
        if self._left.is_set():
            raise BadInput("This request queue is closed.", remedy="Get another.")
        share = self._joined(timeout_s)
        if share is None:
            return None
        if self._settlement.owed is not None and not self._settlement.pay(share):
            self._stop.wait(self._retry_s())
            return None
        self._tries = 0
        self._retention.tick(share.consumer.assignment)
        record = share.take(timeout_s)
        if record is None or self._settlement.waits(share, record):
            return None
        return self._see_through(share, record)

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
            self._left.wait(min(self._grace_s + CLOSING_S, threading.TIMEOUT_MAX))

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
            self._share = Share(consumer)
        return self._share

    def _retry_s(self) -> float:
        self._tries += 1
        return pause_s(self._tries, 0.1, LONGEST_RETRY_S)

    def _leave(self) -> None:
        if not self._left.is_set():
            if self._share is not None:
                self._share.consumer.close()
            self._hands.rest()
            self._left.set()

    def _see_through(self, share: Share, record: Record) -> What:
        try:
            request = read(record)
        except Unreadable as error:
            return self._settlement.settle(share, record, None, Verdict(why=str(error)))
        if lacking := missing_field(request, self._required):
            where = f"partition {record.partition.number} offset {record.offset}"
            verdict = Verdict(why=f"Lifecycle request for {where} is missing {lacking}.")
            return self._settlement.settle(share, record, request.request_id, verdict)
        return self._handle(share, request)

    def _handle(self, share: Share, request: Request) -> What:
        record, request_id = request.record, request.request_id
        self._settlement.tell(What.TAKEN, record, request_id)
        work = self._work = self._hands.begin(request)
        try:
            ended = self._wait_for(share, work)
        finally:
            self._work = None
        if work.settled is not None:
            return work.settled
        if work.lost or not ended:
            why = "the partition went to another replica" if work.lost else "the replica stops"
            self._settlement.tell(What.LOST, record, request_id, why)
            return What.LOST
        return self._settlement.settle(share, record, request_id, work.verdict)

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

    def _on_revoked(self, partitions: frozenset[Partition]) -> None:
        """They go to others; until we return they are ours. Finish what is in hand, or give up."""
        assert self._share is not None, "who has partitions has joined"
        work = self._work
        if work is not None and work.request.record.partition in partitions:
            if work.wait(self._handover_s):
                request = work.request
                work.settled = self._settlement.settle(
                    self._share, request.record, request.request_id, work.verdict
                )
            else:
                work.lost = True
        self._settlement.hand_over(self._share, partitions)
        self._share.forget(partitions)

    def _on_lost(self, partitions: frozenset[Partition]) -> None:
        """They are others' already."""
        assert self._share is not None, "who has partitions has joined"
        if self._work is not None and self._work.request.record.partition in partitions:
            self._work.lost = True
        self._settlement.forget(partitions)
        self._share.forget(partitions)
