"""The worker: threads that take what the bus delivers, call its handler, and settle it.

The rule of settling: a job's delivery is acknowledged last, when what is to become of the
job is safe. Done: that is all. Not yet, and failed: first the bus has confirmed the message
that goes on. Should that not succeed, nothing is acknowledged: it is tried again while
the delivery is in our hand, and once it isn't, the broker delivers the job anew.
So no moment to die in loses a job; some make it come twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from labs.job_queue import marks
from labs.job_queue.bus import Bus, BusUnreachable, Delivery, Message, NotConfirmed, Subscription
from labs.job_queue.jobs import JOB_ID, JOB_TYPE, Handler, NotAJob, read
from labs.job_queue.lanes import Lanes, Taken
from labs.job_queue.outcomes import Attempt, Observer, Outcome, Patience, Result, attempted, bounded

logger = logging.getLogger(__name__)

NOBODYS = ""
"""The lane of what has no handler here, and of what is no job."""
FIRST_RETRY_S, LONGEST_RETRY_S = 0.2, 10.0
"""Pauses while the broker does not take what must be published before a job is settled."""
FLUSH_S = 5.0


@dataclass(frozen=True, slots=True)
class Queues:
    """The names of a job queue's queues."""

    work: str
    failed: str
    slow: str

    @classmethod
    def of(cls, name: str) -> Queues:
        """Those of the job queue of this name."""
        return cls(name, f"{name}.failed", f"{name}.slow")


@dataclass(frozen=True)
class Registered:
    """A handler, and how many of its jobs may run at once."""

    handler: Handler
    share: int


class Worker:
    """One life of the threads, from `start` to `stop`."""

    def __init__(
        self,
        bus: Bus,
        queues: Queues,
        handlers: Mapping[str, Registered],
        *,
        workers: int,
        prefetch: int,
        share: int,
        patience: Patience,
        observer: Observer | None,
    ) -> None:
        self._bus = bus
        self._queues = queues
        self._handlers = handlers
        self._prefetch = prefetch
        self._patience = patience
        self._observer = observer
        self._lanes = Lanes(lambda name: handlers[name].share if name in handlers else share)
        self._stopping = threading.Event()
        self._subscriptions: list[Subscription] = []
        self._threads = [
            threading.Thread(target=self._work, name=f"{queues.work} {number}", daemon=True)
            for number in range(1, workers + 1)
        ]
        self._mover = threading.Thread(
            target=self._make_room, name=f"{queues.work} mover", daemon=True
        )

    def start(self) -> None:
        """Begin to take jobs.

        Raises:
            BusUnreachable: the broker is not there.
        """
        # The pauses' queues are made now: a broker that crashes soon after may lose a new queue.
        for pause_s in self._patience.pauses_s():
            self._bus.publish(self._queues.work, [], delay_s=pause_s)
        for thread in (*self._threads, self._mover):
            thread.start()
        for queue, prefetch in (
            (self._queues.work, self._prefetch),
            (self._queues.slow, len(self._threads)),
        ):
            self._subscriptions.append(self._bus.consume(queue, self._take, prefetch=prefetch))

    def stop(self, grace_s: float) -> bool:
        """Take no more, hand back what only waits, let finish what runs.

        Returns:
            Whether all has finished within `grace_s` seconds. What has not is nobody's
            loss: its delivery is not settled, and comes again once the bus is closed.
        """
        deadline = time.monotonic() + grace_s
        self._stopping.set()
        for subscription in self._subscriptions:
            subscription.cancel()
        for taken in self._lanes.close(len(self._threads)):
            self._bus.requeue(taken.delivery)
        own = threading.current_thread()
        for thread in (*self._threads, self._mover):
            if thread is not own and thread.ident is not None:
                left_s = max(0.0, deadline - time.monotonic())
                thread.join(min(left_s, threading.TIMEOUT_MAX))
        self._bus.flush(FLUSH_S)
        return not any(thread.is_alive() for thread in self._threads if thread is not own)

    def has_thread(self, thread: threading.Thread) -> bool:
        """Whether it is one of the worker's own, in which handlers run."""
        return thread in self._threads

    # In a thread of the bus's

    def _take(self, delivery: Delivery) -> None:
        taken = self._read(delivery)
        taken.may_move = delivery.queue == self._queues.work
        if not self._lanes.submit(taken):
            self._bus.requeue(delivery)

    def _read(self, delivery: Delivery) -> Taken:
        try:
            job = read(delivery.message.body)
        except NotAJob as error:
            return Taken(delivery, NOBODYS, None, str(error))
        job_type: str = job[JOB_TYPE]
        return Taken(delivery, job_type if job_type in self._handlers else NOBODYS, job)

    # In the worker's own threads

    def _work(self) -> None:
        taken = self._lanes.next()
        while taken is not None:
            try:
                self._do(taken)
            except Exception:
                # A mistake of ours must not take a thread away for good, nor the job.
                logger.exception("A job could not be settled; it is handed back.")
                self._stopping.wait(FIRST_RETRY_S)
                self._bus.requeue(taken.delivery)
            taken = self._lanes.after(taken)

    def _do(self, taken: Taken) -> None:
        delivery, job = taken.delivery, taken.job
        if self._stopping.is_set() or not self._bus.holds(delivery):
            self._bus.requeue(delivery)
            return
        taken.started_s = time.monotonic()
        started_s = time.time()
        message = delivery.message
        attempts = marks.attempts_of(message)
        if job is None:
            job_id, job_type = marks.an_id(message.message_id), ""
            result = Result(Outcome.FAILED, taken.why_none)
        else:
            job_id, job_type = job.get(JOB_ID) or marks.an_id(message.message_id), job[JOB_TYPE]
            job[JOB_ID] = job_id
            registered = self._handlers.get(job_type)
            if registered:
                attempts += 1
                result = attempted(registered.handler, job)
            else:
                result = self._unknown(job_type, marks.unknown_of(message) + 1)
        ended_s = time.time()
        self._settle(delivery, result, job_id=job_id, job_type=job_type, attempts=attempts)
        if self._observer:
            self._observe(
                Attempt(
                    job_id,
                    job_type,
                    attempts,
                    started_s,
                    ended_s,
                    result.outcome,
                    result.why,
                )
            )

    def _unknown(self, job_type: str, times: int) -> Result:
        why = f"No handler is registered for the job type {bounded(job_type, 200)!r}"
        if times < self._patience.unknown_limit:
            return Result(Outcome.UNKNOWN, f"{why}.")
        return Result(Outcome.FAILED, f"{why}, in any replica that met it ({times} times).")

    def _settle(
        self, delivery: Delivery, result: Result, *, job_id: str, job_type: str, attempts: int
    ) -> None:
        if result.outcome is Outcome.DONE:
            self._bus.ack(delivery)
            return
        message, message_id = delivery.message, marks.an_id(job_id, delivery.message.message_id)
        if result.outcome is Outcome.NOT_YET:
            onward = marks.again(message, message_id=message_id, attempts=attempts)
            queue, pause_s = self._queues.work, self._patience.pause_s(attempts)
        elif result.outcome is Outcome.UNKNOWN:
            times = marks.unknown_of(message) + 1
            onward = marks.again(message, message_id=message_id, attempts=attempts, unknown=times)
            queue, pause_s = self._queues.work, self._patience.pause_s(times)
        else:
            if self._observer is None:  # who observes is told anyway
                logger.warning("Job %s (%s) has failed: %s", job_id, job_type or "?", result.why)
            onward = marks.failed(
                message, result, message_id=message_id, job_type=job_type, attempts=attempts
            )
            queue, pause_s = self._queues.failed, 0.0
        if self._publish(queue, onward, pause_s, delivery):
            self._bus.ack(delivery)
        else:
            self._bus.requeue(delivery)

    def _publish(self, queue: str, message: Message, delay_s: float, delivery: Delivery) -> bool:
        """Publish what goes on; False: the delivery isn't ours any more, or we are to stop."""
        retry_s = FIRST_RETRY_S
        while self._bus.holds(delivery):
            try:
                self._bus.publish(queue, [message], delay_s=delay_s)
            except (NotConfirmed, BusUnreachable) as error:
                logger.warning("Not settled yet, %s did not take it: %s", queue, error)
            else:
                return True
            if self._stopping.wait(retry_s):
                break
            retry_s = min(retry_s * 2, LONGEST_RETRY_S)
        return False

    def _observe(self, attempt: Attempt) -> None:
        assert self._observer is not None
        try:
            self._observer(attempt)
        except Exception:
            logger.exception("The observer failed; the job is settled all the same.")

    # In the mover's thread

    def _make_room(self) -> None:
        """Move what waits for a slow type out of the window, so that quick types come in."""
        while not self._stopping.is_set():
            surplus, look_again_s = self._lanes.surplus()
            if surplus:
                self._move(surplus)
            elif look_again_s is None:
                self._lanes.wait_until_crowded()
            else:
                self._stopping.wait(look_again_s)

    def _move(self, surplus: list[Taken]) -> None:
        held = [taken for taken in surplus if self._bus.holds(taken.delivery)]
        try:
            if held:
                self._bus.publish(self._queues.slow, [taken.delivery.message for taken in held])
        except (NotConfirmed, BusUnreachable) as error:
            logger.warning("Not moved, %s did not take it: %s", self._queues.slow, error)
            self._stopping.wait(FIRST_RETRY_S)
            for taken in held:
                if not self._lanes.submit(taken):
                    self._bus.requeue(taken.delivery)
            return
        for taken in held:
            self._bus.ack(taken.delivery)
