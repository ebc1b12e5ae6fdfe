"""The queue service's one door: operations go in, answers come out, as `operations` lists them.

A `QueueService` is one instance; several may share a queue in one PostgreSQL. A writer thread
carries out all operations that wait in one transaction, what frees workers and feeds them first;
a reader thread answers all lookups that wait by one question. Neither stops for a store that is
away: whoever asks meanwhile is told so, and the next round tries again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import TimeoutError as TookTooLong
from copy import copy
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from labs.errors import LabError
from labs.queue_service import (
    service_dispatch,
    service_failed,
    service_reads,
    service_starts,
    service_ticks,
)
from labs.queue_service.committer import Asked, Committer
from labs.queue_service.messages import State, Stats
from labs.queue_service.operations import (
    Ack,
    Claim,
    DeleteSchedule,
    Discard,
    Extend,
    Find,
    GetSamples,
    GetStats,
    Held,
    ListMessages,
    ListSchedules,
    Nack,
    Operation,
    PutSchedule,
    Replay,
    Start,
    Stop,
    StopFrozen,
    Thaw,
    Tick,
)
from labs.queue_service.store import Store
from labs.queue_service.store_batch import Batch
from labs.queue_service.waiting import Kept, Listener
from labs.task_queue.errors import StoreUnfit, StoreUnreachable

log = logging.getLogger(__name__)

A = TypeVar("A")

KEEP = timedelta(days=7)
MAX_WAITING = 2_000
TICK_S = 1.0
READY_WITHIN_S = 5.0
STATS_KEPT_S = 0.2
PAGE = 500

SETTLING = (Extend, Ack, Nack)
URGENT = (*SETTLING, Claim)
READS = (Find, ListMessages, GetStats, GetSamples, ListSchedules)


class Look:
    """Whoever waits for something to claim may find it now."""


class Ping:
    """Does the store answer?"""


class QueueService:
    """One instance of the service on one queue."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime] | None = None,
        keep: timedelta = KEEP,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        """Start its threads; `at` is the usual way.

        Args:
            clock: the time in UTC, for windows, schedules and what is kept how long; None: the
                store's. Leases, delays and pauses count by the store's clock in any case.
            keep: how long a message is kept once it has ended.
            max_waiting: operations; more are refused (`Overloaded`).
        """
        self.store, self._clock, self._keep = store, clock, keep
        self.on_commit: Callable[[int, float, Sequence[float]], None] = lambda *_: None
        """Is told of each transaction, in the writer's thread: how many operations it did, what
        seconds it took, and how long each message that it handed out had been due."""
        self._name = secrets.token_hex(8)
        self._kept = Kept()
        self._stats: Stats | None = None
        self._stats_until = 0.0
        self._has_refused = False
        self._ticker: threading.Thread | None = None
        self._closing = threading.Event()
        self._writer = Committer(
            self._write, name="queue-writer", max_waiting=max_waiting, unwanted=self._give_back
        )
        self._reader = Committer(self._read, name="queue-reader", max_waiting=max_waiting)
        self._listener = Listener(store.database, store.channel, self._name, self._look)

    @classmethod
    def at(
        cls,
        url: str,
        name: str = "builds",
        *,
        clock: Callable[[], datetime] | None = None,
        keep: timedelta = KEEP,
        max_waiting: int = MAX_WAITING,
    ) -> QueueService:
        """The queue of this name at `postgresql://user:password@host/database` or
        `sqlite:///path`; its tables are made if need be.

        Raises:
            BadInput, BadTask: the URL or the name can't be meant.
            StoreUnreachable, StoreUnfit: the database does not answer, or can't be used.
        """
        return cls(Store.at(url, name), clock=clock, keep=keep, max_waiting=max_waiting)

    def __repr__(self) -> str:
        """Which queue where; no secrets."""
        return f"<QueueService {self.store.name!r} at {self.store.database.place}>"

    # --- Asking -------------------------------------------------------------------------------

    def call(self, operation: Operation[A]) -> A:
        """Carry an operation out, and wait for its answer; from any thread.

        Raises:
            LabError: what the operation names, `StoreUnreachable` (try again: a build is not
                enqueued twice), or `Overloaded`.
        """
        if isinstance(operation, Replay | Discard) and operation.ids is None:
            return cast(A, self._all_failed(type(operation)))
        return cast(A, self._submit(Asked(operation)).future.result())

    async def do(self, operation: Operation[A]) -> A:
        """As `call`, for an event loop. If it is cancelled, a claim takes nothing."""
        if isinstance(operation, GetStats) and time.monotonic() < self._stats_until:
            return cast(A, self._stats)
        if isinstance(operation, Replay | Discard) and operation.ids is None:
            return cast(A, await asyncio.to_thread(self._all_failed, type(operation)))
        asked = Asked(operation, asyncio.get_running_loop())
        return cast(A, await self._submit(asked).future)

    @property
    def takes_writes(self) -> bool:
        """Whether the store does, as far as is known: a full disk answers, and takes none."""
        return not self._has_refused

    def ready(self) -> None:
        """Return if the store answers, and takes what is to be written.

        Raises:
            StoreUnreachable: it does not, or not in time.
        """
        self._wait_for(self._reader.submit(Asked(Ping()), urgent=True))
        if self._has_refused:
            self._wait_for(self._writer.submit(Asked(Tick()), urgent=True))

    def _wait_for(self, asked: Asked) -> None:
        try:
            asked.future.result(READY_WITHIN_S)
        except TookTooLong:
            raise StoreUnreachable(
                f"The store at {self.store.database.place} took more than {READY_WITHIN_S:g} s.",
                remedy="Is it running, and not overloaded?",
            ) from None

    def start_ticking(self) -> Self:
        """Do about once a second what time brings, in a thread of its own."""
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, name="queue-ticker", daemon=True)
            self._ticker.start()
        return self

    def stop_waiting(self) -> None:
        """Answer claims that wait, and let no more of them wait: the end is near."""
        self._kept.is_closed = True
        self._look(always=True)

    def close(self) -> None:
        """Answer all who wait, and let go of the store. Twice is no error."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._ticker:
            self._ticker.join()
        self.stop_waiting()
        self._listener.close()
        self._writer.close()
        self._reader.close()
        self.store.close()

    def __enter__(self) -> Self:
        """The service, closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _submit(self, asked: Asked) -> Asked:
        operation = asked.operation
        if isinstance(operation, READS):
            return self._reader.submit(asked)
        return self._writer.submit(asked, urgent=isinstance(operation, URGENT))

    def _all_failed(self, kind: type[Replay] | type[Discard]) -> Sequence[str]:
        """Page by page, so that no transaction is long."""
        done: list[str] = []
        after = None
        while True:
            page = self.call(ListMessages(state=State.FAILED, limit=PAGE, after=after))
            done += self.call(kind(ids=tuple(message.id for message in page.messages)))
            if (after := page.next) is None:
                return done

    # --- Writing, in the writer's thread ------------------------------------------------------

    def _write(self, asked: Sequence[Asked]) -> Iterable[Asked]:
        """Carry out all of it in one transaction; if that can't be, each in one of its own."""
        try:
            return self._write_together(asked)
        except StoreUnreachable as error:
            self._has_refused = True
            told = [*asked, *self._kept.of(None)]
            self._kept.let_go(told)
            for one in told:
                one.error = copy(error)
            return told
        except Exception as error:
            if len(asked) == 1:
                raise
            log.debug("One of %d operations fails them all: %s", len(asked), error)
            return [done for one in asked for done in self._write_alone(one)]

    def _write_alone(self, asked: Asked) -> Iterable[Asked]:
        try:
            return self._write_together([asked])
        except Exception as error:
            if not isinstance(error, LabError):
                log.exception("An operation failed in an unforeseen way.")
            asked.error = error
            return [asked]

    def _write_together(self, asked: Sequence[Asked]) -> Iterable[Asked]:
        for one in asked:
            one.answer = one.error = None
        begun = time.perf_counter()
        with self.store.transaction() as (session, now, last_seq):
            if self._clock:
                now = self._clock().timestamp()
            batch = Batch(self.store, session, now, last_seq)
            hungry = self._carry_out(batch, asked)
            batch.settle_down()
            batch.flush()
            fed = self._feed(batch, asked, hungry)
            if batch.claimable:
                self.store.tell_others(session, self._name)
        if any(isinstance(one.operation, Tick) and one.error is None for one in asked):
            self._has_refused = False
        self.on_commit(len(asked), time.perf_counter() - begun, batch.waited_s)
        if batch.is_unfinished:
            self._writer_again()
        told = self._told(asked, hungry, fed, batch.unseen)
        if batch.unseen:
            self._look()
        return told

    def _carry_out(self, batch: Batch, asked: Sequence[Asked]) -> list[Asked]:
        """Do each kind by the set; those claims that have found nothing."""
        settles = [one for one in asked if isinstance(one.operation, SETTLING)]
        claims = [one for one in asked if isinstance(one.operation, Claim)]
        starts = [one for one in asked if isinstance(one.operation, Start)]
        if settles:
            _answer(settles, service_dispatch.settle_all(batch, _operations(settles)))
            batch.settle_down()
        if claims:
            _answer(claims, service_dispatch.claim_all(batch, _operations(claims)))
            batch.settle_down()
        if starts:
            _answer(starts, service_starts.start_all(batch, _operations(starts)))
        for one in asked:
            if not isinstance(one.operation, (*SETTLING, Claim, Start)):
                try:
                    one.answer = self._do_one(batch, one.operation)
                except LabError as error:
                    one.error = error
        return [one for one in claims if not one.answer]

    def _do_one(self, batch: Batch, operation: object) -> object:
        match operation:
            case Stop():
                return service_starts.stop(batch, operation)
            case Thaw():
                return service_starts.thaw(batch, operation.job_id)
            case StopFrozen():
                return service_starts.stop_frozen(batch, operation.job_id)
            case Replay():
                return service_failed.replay(batch, operation.ids or ())
            case Discard():
                return service_failed.discard(batch, operation.ids or ())
            case PutSchedule():
                return service_ticks.put_schedule(batch, operation)
            case DeleteSchedule():
                return service_ticks.delete_schedule(batch, operation)
            case Tick():
                if service_ticks.tick(batch, self._keep, writes=self._has_refused):
                    batch.is_unfinished = True
                return None
            case Look():
                return None
        raise TypeError(f"There is no operation {operation!r:.80}.")

    def _feed(self, batch: Batch, asked: Sequence[Asked], hungry: Sequence[Asked]) -> list[Asked]:
        """Let claims that wait try again, if there may be something for them; whom it has fed."""
        looks = any(isinstance(one.operation, Look) for one in asked)
        waiting = self._kept.of(None if looks else batch.claimable)
        waiting += [one for one in hungry if one.operation.cluster in batch.claimable]
        if not waiting:
            return []
        _answer(waiting, service_dispatch.claim_all(batch, _operations(waiting)))
        batch.settle_down()
        batch.flush()
        return [one for one in waiting if one.answer]

    def _told(
        self,
        asked: Sequence[Asked],
        hungry: Sequence[Asked],
        fed: Sequence[Asked],
        unseen: Collection[str],
    ) -> list[Asked]:
        """Who is answered now: all but claims that found nothing and want to wait, or for whom
        the next transaction looks on."""
        self._kept.let_go(fed)
        for one in hungry:
            if not one.answer:
                self._kept.keep(one)
        over = self._kept.over(unseen)
        self._kept.let_go(over)
        for one in over:
            one.answer = ()
        told = dict.fromkeys([*asked, *fed, *over])
        return [one for one in told if one not in self._kept]

    def _writer_again(self) -> None:
        """Go on where this transaction has stopped."""
        self._ask_self(Tick())

    def _ask_self(self, operation: object) -> None:
        try:
            self._writer.submit(Asked(operation))
        except LabError:
            log.debug("Too much waits for %r; the next tick does it.", operation)

    def _look(self, *, always: bool = False) -> None:
        if len(self._kept) or always:
            self._ask_self(Look())

    def _give_back(self, asked: Asked) -> None:
        """Hand back what was claimed for somebody who has gone meanwhile."""
        for claimed in asked.answer or () if isinstance(asked.operation, Claim) else ():
            held = Held(id=claimed.id, owner=claimed.owner, move=claimed.move)
            self._ask_self(Nack(held=held, requeue=True))

    def _tick(self) -> None:
        while not self._closing.wait(TICK_S):
            try:
                self.call(Tick())
            except Exception as error:  # noqa: BLE001 - the next second is another try
                why = error if isinstance(error, LabError) else "see the error above"
                log.warning("What time brings waits: %s", why)

    # --- Reading, in the reader's thread ------------------------------------------------------

    def _read(self, asked: Sequence[Asked]) -> Iterable[Asked]:
        finds = [one for one in asked if isinstance(one.operation, Find)]
        with self.store.database.session() as session:
            if finds:
                _answer(finds, service_reads.find_all(self.store, session, _operations(finds)))
            for one in asked:
                if not isinstance(one.operation, Find):
                    try:
                        one.answer = self._read_one(session, one.operation)
                    except (StoreUnreachable, StoreUnfit):
                        raise
                    except LabError as error:
                        one.error = error
        return asked

    def _read_one(self, session: Any, operation: object) -> object:
        match operation:
            case GetStats():
                return self._read_stats(session)
            case ListMessages():
                return service_reads.list_messages(self.store, session, operation)
            case GetSamples():
                return service_reads.samples(self.store, session, operation.since)
            case ListSchedules():
                return service_reads.schedules(self.store, session, operation.limit)
            case Ping():
                return session.run("SELECT 1", {})
        raise TypeError(f"There is no operation {operation!r:.80}.")

    def _read_stats(self, session: Any) -> Stats:
        if self._stats is None or time.monotonic() >= self._stats_until:
            now = self._clock() if self._clock else datetime.now(UTC)
            self._stats = service_reads.stats(self.store, session, now)
            self._stats_until = time.monotonic() + STATS_KEPT_S
        return self._stats


def _operations(asked: Sequence[Asked]) -> list[Any]:
    return [one.operation for one in asked]


def _answer(asked: Sequence[Asked], answers: Sequence[Any]) -> None:
    for one, answer in zip(asked, answers, strict=True):
        if isinstance(answer, LabError):
            one.error = answer
        else:
            one.answer = answer
