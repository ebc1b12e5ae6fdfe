"""A task queue in memory: for tests and lessons, and for threads that share work.

`MemoryTasks` holds the tasks behind one lock; each `MemoryQueue` is one handle on them. What is
claimed next is the head of a heap; two more heaps know when the next delay passes and the next
lease runs out. So no verb looks at tasks that it does not move, however many there are. A heap's
entry is never searched for: it counts only if the task has made no move since it was entered.
Time is the host's clock. Everything is gone with the process.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from labs.task_queue.errors import BadTask, TaskError
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import MOVES, Move, Stage
from labs.task_queue.tasks import (
    GAVE_UP,
    Claim,
    Hold,
    Json,
    Moved,
    NewTask,
    Page,
    Put,
    Settling,
    Standing,
    Task,
    after_failure,
    after_lease,
    pause_s,
    refusal,
)


@dataclass(slots=True, eq=False)
class _Kept:
    """A task as it is kept. Its stage is None before its put and after its purge."""

    number: int
    """Its place in the line of all puts."""
    new: NewTask
    put_at: datetime
    due: datetime
    stage: Stage | None = None
    moves: int = 0
    attempts: int = 0
    owner: str | None = None
    lease_ends: datetime | None = None
    claimed_at: datetime | None = None
    settled_at: datetime | None = None
    result: str | None = None
    reason: str = ""


@dataclass(slots=True)
class _Change:
    """A move to make, and what it sets."""

    kept: _Kept
    move: Move
    sets: dict[str, Any] = field(default_factory=dict)


_Entry = tuple[Any, int, int, int, _Kept]
"""In a heap: the key, then the number; a tie-breaker, the moves when it was entered, the task."""


class MemoryTasks:
    """The tasks, and what will happen to them next. `changed` guards all of it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.by_id: dict[str, _Kept] = {}
        self.by_stage: dict[Stage, dict[str, _Kept]] = {stage: {} for stage in Stage}
        self.line: list[_Kept] = []
        """In the order of their puts; purged ones stay until the list is made anew."""
        self.numbers = itertools.count()
        self._ready: list[_Entry] = []
        """What can be claimed, by priority."""
        self._delayed: list[_Entry] = []
        """What waits for its time, by that."""
        self._leased: list[_Entry] = []
        """What has a lease, by its end; once more for each time it was extended."""
        self._ticks = itertools.count()

    def enter(self, kept: _Kept, now: datetime) -> None:
        """Put a task on the heap from which its next change comes."""
        if kept.stage is Stage.WAITING and kept.due > now:
            self._push(self._delayed, kept.due, kept)
        elif kept.stage is Stage.WAITING:
            self._push(self._ready, -kept.new.priority, kept)
        elif kept.lease_ends is not None:
            self._push(self._leased, kept.lease_ends, kept)

    def _push(self, heap: list[_Entry], key: Any, kept: _Kept) -> None:
        heapq.heappush(heap, (key, kept.number, next(self._ticks), kept.moves, kept))

    def make_ready(self, now: datetime) -> None:
        """Let the delays that have passed count."""
        while self._delayed and self._delayed[0][0] <= now:
            _, _, _, moves, kept = heapq.heappop(self._delayed)
            if kept.moves == moves:
                self.enter(kept, now)

    def take_heads(self, n: int) -> list[_Kept]:
        """Take the next ones to claim off the heap: who does not move them enters them again."""
        heads: list[_Kept] = []
        while self._ready and len(heads) < n:
            _, _, _, moves, kept = heapq.heappop(self._ready)
            if kept.moves == moves:
                heads.append(kept)
        return heads

    def take_run_out(self, now: datetime) -> list[_Kept]:
        """Take those off the heap whose lease has run out; as with `take_heads`."""
        out: dict[int, _Kept] = {}
        while self._leased and self._leased[0][0] <= now:
            ends, _, _, moves, kept = heapq.heappop(self._leased)
            if kept.moves == moves and kept.lease_ends == ends:
                out[kept.number] = kept
        return list(out.values())

    def until_next(self, now: datetime) -> float:
        """Seconds until a delay passes or a lease runs out."""
        times = [heap[0][0] for heap in (self._delayed, self._leased) if heap]
        return (min(times) - now).total_seconds() if times else float("inf")

    def move(self, change: _Change, now: datetime) -> None:
        """Make one move, as the table allows."""
        kept, way = change.kept, MOVES[change.move]
        assert kept.stage in way.sources, f"{change.move} of a task that is {kept.stage!r}"
        if kept.stage is None:
            self.by_id[kept.new.id] = kept
            self.line.append(kept)
        else:
            del self.by_stage[kept.stage][kept.new.id]
        for name, value in change.sets.items():
            setattr(kept, name, value)
        kept.stage = way.target
        kept.moves += 1
        if kept.stage is None:
            del self.by_id[kept.new.id]
        else:
            self.by_stage[kept.stage][kept.new.id] = kept
            self.enter(kept, now)


class MemoryQueue(TaskQueue):
    """A handle on tasks in memory; with none given, on new ones of its own."""

    def __init__(self, tasks: MemoryTasks | None = None) -> None:
        super().__init__()
        self.tasks = tasks or MemoryTasks()

    def description(self) -> dict[str, Json]:
        """`implementation` alone: there is no place to name."""
        return {"implementation": "memory"}

    # --- The verbs ----------------------------------------------------------------------------

    def _put(self, tasks: Sequence[NewTask]) -> Put:
        with self._at_work() as now:
            added = [task for task in tasks if task.id not in self.tasks.by_id]
            kept = (
                _Kept(next(self.tasks.numbers), task, now, _later(now, task.delay_s))
                for task in added
            )
            self._make([_Change(one, Move.PUT) for one in kept], now)
        added_ids = {task.id for task in added}
        present = [task.id for task in tasks if task.id not in added_ids]
        return Put([task.id for task in added], present)

    def _get(self, n: int, lease_s: float | None, owner: str | None) -> list[Claim]:
        with self._at_work() as now:
            lease_ends = None if lease_s is None else _later(now, lease_s)
            heads = self.tasks.take_heads(n)
            sets = {"owner": owner, "lease_ends": lease_ends, "claimed_at": now}
            changes = [
                _Change(kept, Move.CLAIM, sets | {"attempts": kept.attempts + 1}) for kept in heads
            ]
            self._make_or_enter(changes, now)
            return [
                Claim(
                    kept.new.id,
                    json.loads(kept.new.text),
                    owner=owner,
                    attempt=kept.attempts,
                    move=kept.moves,
                    lease_ends=lease_ends,
                )
                for kept in heads
            ]

    def _peek(self, n: int) -> list[tuple[str, Json]]:
        with self._at_work() as now:
            heads = self.tasks.take_heads(n)
            for kept in heads:
                self.tasks.enter(kept, now)
            return [(kept.new.id, json.loads(kept.new.text)) for kept in heads]

    def _settle(self, settlings: Sequence[Settling]) -> dict[str, TaskError]:
        by_id = {settling.hold.id: settling for settling in settlings}

        def change(kept: _Kept, now: datetime) -> _Change:
            settling = by_id[kept.new.id]
            if settling.succeeded:
                sets = {"settled_at": now, "result": settling.result, "reason": ""}
                return _Change(kept, Move.SUCCEED, sets | {"lease_ends": None})
            move = after_failure(kept.attempts, kept.new.max_attempts)
            sets = {"lease_ends": None, "reason": settling.reason}
            if move is Move.RETRY:
                pause = pause_s(kept.new.backoff_s, kept.attempts)
                return _Change(kept, move, sets | {"due": _later(now, pause)})
            return _Change(kept, move, sets | {"settled_at": now})

        wanted = [(settling.hold, settling.move) for settling in settlings]
        return self._move_held(wanted, change)

    def _extend(self, holds: Sequence[Hold], lease_s: float) -> dict[str, TaskError]:
        with self._at_work() as now:
            refused = self._refused([(hold, None) for hold in holds], now)
            for hold in holds:
                if hold.id not in refused:
                    kept = self.tasks.by_id[hold.id]
                    kept.lease_ends = _later(now, lease_s)
                    self.tasks.enter(kept, now)
            return refused

    def _release(self, holds: Sequence[Hold], delay_s: float) -> dict[str, TaskError]:
        def change(kept: _Kept, now: datetime) -> _Change:
            sets = {"lease_ends": None, "attempts": kept.attempts - 1}
            return _Change(kept, Move.RELEASE, sets | {"due": _later(now, delay_s)})

        return self._move_held([(hold, Move.RELEASE) for hold in holds], change)

    def _refuse(self, hold: Hold, reason: str) -> dict[str, TaskError]:
        def change(kept: _Kept, now: datetime) -> _Change:
            return _Change(kept, Move.REFUSE, {"settled_at": now, "reason": reason})

        return self._move_held([(hold, Move.REFUSE)], change)

    def _requeue(self, ids: Sequence[str]) -> list[str]:
        with self._at_work() as now:
            failed = self.tasks.by_stage[Stage.FAIL]
            found = [id_ for id_ in ids if id_ in failed]
            sets = {"attempts": 0, "owner": None, "settled_at": None, "reason": "", "due": now}
            self._make([_Change(failed[id_], Move.REQUEUE, sets) for id_ in found], now)
            return found

    def _purge(self, older_than: timedelta) -> int:
        with self._at_work() as now:
            settled = [
                kept
                for stage in (Stage.SUCCESS, Stage.FAIL)
                for kept in self.tasks.by_stage[stage].values()
                if kept.settled_at is not None and kept.settled_at <= now - older_than
            ]
            self._make([_Change(kept, Move.PURGE) for kept in settled], now)
            self.tasks.line = [kept for kept in self.tasks.line if kept.stage is not None]
            return len(settled)

    # --- Looking ------------------------------------------------------------------------------

    def _sizes(self) -> dict[Stage, int]:
        with self._at_work():
            return {stage: len(kept) for stage, kept in self.tasks.by_stage.items()}

    def _find(self, id_: str) -> Task | None:
        with self._at_work():
            kept = self.tasks.by_id.get(id_)
            return _shown(kept) if kept else None

    def _page(self, stage: Stage, limit: int | None, after: str | None) -> Page:
        with self._at_work():
            first = 0
            if after is not None:
                number = _number(after)
                first = bisect.bisect_right(self.tasks.line, number, key=lambda kept: kept.number)
            rest = itertools.islice(self.tasks.line, first, None)
            of_stage = (kept for kept in rest if kept.stage is stage)
            found = list(itertools.islice(of_stage, limit and limit + 1))
            ids = [kept.new.id for kept in found[:limit]]
            if limit is None or len(found) <= limit:
                return Page(ids)
            return Page(ids, next=str(found[limit - 1].number))

    def _wait(self, timeout_s: float) -> None:
        with self._at_work() as now:
            if heads := self.tasks.take_heads(1):
                self.tasks.enter(heads[0], now)
                return
            self.tasks.changed.wait(min(timeout_s, self.tasks.until_next(now)))

    # --- How a move is made -------------------------------------------------------------------

    @contextmanager
    def _at_work(self) -> Iterator[datetime]:
        """Alone with the tasks: the time, up to which leases and delays have counted."""
        with self.tasks.changed:
            now = datetime.now(UTC)
            self.tasks.make_ready(now)
            out = self.tasks.take_run_out(now)
            if out:
                self._make_or_enter([_run_out(kept, now) for kept in out], now)
            yield now

    def _refused(
        self, wanted: Sequence[tuple[Hold, Move | None]], now: datetime
    ) -> dict[str, TaskError]:
        refused = {}
        for hold, move in wanted:
            kept = self.tasks.by_id.get(hold.id)
            if error := refusal(hold, _standing(kept), move, now):
                refused[hold.id] = error
        return refused

    def _move_held(
        self,
        wanted: Sequence[tuple[Hold, Move]],
        change: Callable[[_Kept, datetime], _Change],
    ) -> dict[str, TaskError]:
        with self._at_work() as now:
            refused = self._refused(wanted, now)
            kept = [self.tasks.by_id[hold.id] for hold, _ in wanted if hold.id not in refused]
            self._make([change(one, now) for one in kept], now)
            return refused

    def _make(self, changes: Sequence[_Change], now: datetime) -> None:
        """Make the moves, once the recorder has them: if it raises, none is made."""
        if not changes:
            return
        if self.recorder:
            self.recorder.record([_told(change, now) for change in changes])
        for change in changes:
            self.tasks.move(change, now)
        if any(MOVES[change.move].target is Stage.WAITING for change in changes):
            self.tasks.changed.notify_all()

    def _make_or_enter(self, changes: Sequence[_Change], now: datetime) -> None:
        """As `_make`, for tasks that were taken off their heap."""
        try:
            self._make(changes, now)
        except BaseException:
            for change in changes:
                self.tasks.enter(change.kept, now)
            raise


def memory_queue() -> MemoryQueue:
    """A new, empty queue in memory."""
    return MemoryQueue()


def _later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


def _number(after: str) -> int:
    try:
        return int(after)
    except ValueError:
        raise BadTask(
            f"{after!r:.80} is no place in a list of tasks.",
            remedy="Give the next of the page before.",
        ) from None


def _standing(kept: _Kept | None) -> Standing | None:
    if kept is None or kept.stage is None:
        return None
    return Standing(kept.stage, kept.owner, kept.moves, kept.lease_ends)


def _run_out(kept: _Kept, now: datetime) -> _Change:
    move = after_lease(kept.attempts, kept.new.max_attempts)
    sets: dict[str, Any] = {"lease_ends": None}
    if move is Move.GIVE_UP:
        sets |= {"settled_at": now, "reason": GAVE_UP}
    return _Change(kept, move, sets)


def _told(change: _Change, now: datetime) -> Moved:
    kept = change.kept
    return Moved(
        id=kept.new.id,
        number=kept.moves + 1,
        move=change.move,
        stage_from=kept.stage,
        stage_to=MOVES[change.move].target,
        at=now,
        owner=change.sets.get("owner", kept.owner),
        text=kept.new.text if change.move is Move.PUT else None,
    )


def _shown(kept: _Kept) -> Task:
    assert kept.stage is not None, "it is in the queue"
    return Task(
        id=kept.new.id,
        stage=kept.stage,
        body=json.loads(kept.new.text),
        priority=kept.new.priority,
        attempts=kept.attempts,
        max_attempts=kept.new.max_attempts,
        backoff_s=kept.new.backoff_s,
        moves=kept.moves,
        owner=kept.owner,
        lease_ends=kept.lease_ends,
        due=kept.due,
        put_at=kept.put_at,
        claimed_at=kept.claimed_at,
        settled_at=kept.settled_at,
        result=None if kept.result is None else json.loads(kept.result),
        reason=kept.reason,
    )
