"""How the S3 queue moves a task so that one mover wins, and no crash loses or doubles anything.

**The truth about a task is one object**, `tasks/<name>`: who replaces it on the condition that
nobody else has (If-Match) has made the move. Each time it is written it gets the next *revision*
and a *nonce*. **Markers** are empty objects by which tasks are found: the key of one begins with
the stage and names place, revision and nonce. A marker counts if the object says the same.

To move: 1 write the marker of the new stage, 2 replace the object, 3 tell the recorder, 4 delete
the old marker. To put: 1 create the object (If-None-Match: *), 2 write the marker. Whoever
meets a marker reads the object and knows:
- the same place, revision and nonce: the marker counts;
- the object's revision is lower: this move has not been made, and perhaps still will be. The old
  marker is still there, so the task is not lost. Let it be; after a while rewrite the object (a
  new revision, the same task): then the mover, if alive, fails at 2 and looks anew;
- all else (a higher revision, another nonce or place, no object): it can never count again, for
  revisions only grow and the object was there before its first marker. Tell, and delete it.

A crash after 1 leaves a marker of the second kind; after 2 or 3 the old one, of the third kind,
beside the new one. A move's tale stays in the object until the next move, whose maker tells it
again before 2 (telling twice changes nothing): so who deletes the last marker of the old stage
has told first, and `recover` finds what was not told by the two markers that the task has then.
A put that crashed before 2 is in no listing: it counts as not made, until somebody puts or looks
up that id: they write the marker. Where there is a recorder, a marker `new/…` is written before
it, and deleted when the recorder was told: so `recover` finds such puts too. The key of a marker
is never used twice, so a slow deleter can't hit another's. A delay that has passed turns
`delayed/…` into `waiting/…` of the same revision: the second is written before the first is
deleted, and twice does no harm.

A purge is a move too, to `gone/…`, and leaves the object without its body; that is deleted on
the condition that nobody has put the id anew meanwhile. Where a store can't, it stays (300 bytes).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.forks import OfProcess
from labs.task_queue.queue import Recorder
from labs.task_queue.s3_bucket import LIST_AT_MOST, Bucket
from labs.task_queue.s3_tasks import Home, Kept, Marker, Seen, markers_in
from labs.task_queue.stages import Move
from labs.task_queue.tasks import GAVE_UP, Moved, after_lease

AT_A_TIME = 256
"""Tasks that a batch puts through one step before the next."""
UNDECIDED_FOR = timedelta(seconds=10)
"""So long a move that has only begun is left to its maker: courtesy, no rule."""

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Found:
    """A task, and what its object has to be for a move of it to win."""

    kept: Kept
    etag: str


@dataclass(frozen=True, slots=True)
class Change:
    """What to make of a task; `move` is None where it stays in its stage."""

    found: Found
    move: Move | None
    sets: dict[str, Any]


class Moves:
    """Moves tasks under one base path, many side by side."""

    def __init__(
        self, bucket: Bucket, base: str, recorder: Callable[[], Recorder | None], *, threads: int
    ) -> None:
        """Nothing is asked yet. `base` is empty or ends with a slash."""
        self.bucket, self.base = bucket, base
        self._recorder = recorder
        self.deletes_safely = True
        """Whether the store can delete on a condition."""
        self._threads = OfProcess(
            lambda: ThreadPoolExecutor(threads, thread_name_prefix="s3-queue")
        )

    def close(self) -> None:
        """End the threads."""
        if made := self._threads.made():
            made.shutdown()

    # --- Reading ------------------------------------------------------------------------------

    def read(self, name: str) -> Found | None:
        """A task; None: it was never put, or is purged altogether."""
        there = self.bucket.read(self._object(name))
        return Found(Kept.read(there[0]), there[1]) if there else None

    def read_all(self, names: Sequence[str]) -> list[Found | None]:
        """Many of them."""
        return self.all_of(self.read, names)

    def listed(self, home: Home, *, limit: int, after: str = "") -> list[Seen]:
        """The first markers of a home, after the key `after` (below the base)."""
        prefix, start = f"{self.base}{home}/", f"{self.base}{after}" if after else ""
        if limit > LIST_AT_MOST:
            return markers_in(
                list(islice(self.bucket.list_all(prefix, after=start), limit)), self.base
            )
        return markers_in(self.bucket.list(prefix, after=start, limit=limit), self.base)

    def listed_all(self, home: Home, *, after: str = "") -> Iterable[Seen]:
        """All of them."""
        start = f"{self.base}{after}" if after else ""
        for entry in self.bucket.list_all(f"{self.base}{home}/", after=start):
            if seen := Seen.read(entry, self.base):
                yield seen

    def counting(self, seen: Sequence[Seen], now: datetime) -> list[Found]:
        """The tasks of those markers that count, in their order. The others are seen to."""
        founds = self.read_all([one.marker.name for one in seen])
        count, over, begun = [], [], {}
        for one, found in zip(seen, founds, strict=True):
            if found and found.kept.is_at(one.marker):
                count.append(found)
            elif found and found.kept.may_come_to(one.marker):
                if now - one.modified > UNDECIDED_FOR:
                    begun[one.marker.name] = Change(found, None, {})
            else:
                over.append((one.marker, found))
        self._clear(over)
        if begun:  # what they were to become is over now: the next one to meet it clears it away
            self.make(list(begun.values()), now)
        return count

    # --- Moving -------------------------------------------------------------------------------

    def make(
        self, changes: Sequence[Change], now: datetime, *, some_will_do: bool = False
    ) -> list[Found | None]:
        """Make each change; None where somebody else has changed the task meanwhile.

        Raises:
            StoreUnreachable: some could not be made (with `some_will_do`: none could).
        """
        made: list[Found | None] = []
        for first in range(0, len(changes), AT_A_TIME):
            made += self._make_some(changes[first : first + AT_A_TIME], now, some_will_do)
        return made

    def _make_some(
        self, changes: Sequence[Change], now: datetime, some_will_do: bool
    ) -> list[Found | None]:
        self._tell(change.found.kept for change in changes)
        tried = self._side_by_side(lambda change: self._make(change, now), changes)
        won = [
            (change.found.kept, after.kept)
            for change, after in zip(changes, tried, strict=True)
            if isinstance(after, Found)
        ]
        self._tell(after for _, after in won)
        with suppress(StoreUnreachable):  # the moves are made: who meets the markers clears them
            self.bucket.delete([self.key(one) for before, _ in won for one in before.markers])
        errors = [one for one in tried if isinstance(one, Exception)]
        if errors and not (some_will_do and won):
            raise errors[0]
        return [one if isinstance(one, Found) else None for one in tried]

    def _make(self, change: Change, now: datetime) -> Found | None:
        before, nonce = change.found.kept, new_nonce()
        tale: tuple[Moved, ...] = ()
        if change.move is None:
            after = before.rewritten(nonce, change.sets)
        else:
            after = before.moved(change.move, nonce, now, change.sets)
            tale = (after.tale(before, change.move, now),)
        after = replace(after, untold=tale if self._recorder() else before.untold)
        self.bucket.write(self.key(after.marker))
        etag = self.bucket.replace(self._object(after.name), after.written(), change.found.etag)
        if etag is None:
            self.bucket.delete([self.key(after.marker)])
            return None
        return Found(after, etag)

    def run_out(self, founds: Sequence[Found], now: datetime) -> list[Found | None]:
        """Let leases that have ended count."""
        changes = []
        for found in founds:
            move = after_lease(found.kept.attempts, found.kept.max_attempts)
            sets: dict[str, Any] = {"lease_ends": None}
            if move is Move.GIVE_UP:
                sets |= {"settled_at": now, "reason": GAVE_UP}
            changes.append(Change(found, move, sets))
        return self.make(changes, now)

    def let_due(self, seen: Sequence[Seen]) -> None:
        """Let delays that have passed count."""
        keys = [self.key(replace(one.marker, home=Home.WAITING)) for one in seen]
        self.all_of(self.bucket.write, keys)
        self.bucket.delete([self.key(one.marker) for one in seen])

    # --- Putting and purging ------------------------------------------------------------------

    def put(self, tasks: Sequence[Kept]) -> list[bool]:
        """Put tasks; whether each is new."""
        new: list[bool] = []
        for first in range(0, len(tasks), AT_A_TIME):
            new += self._put_some(tasks[first : first + AT_A_TIME])
        return new

    def _put_some(self, tasks: Sequence[Kept]) -> list[bool]:
        if self._recorder():
            tasks = [
                replace(task, untold=(task.tale(None, Move.PUT, task.put_at),)) for task in tasks
            ]
        tried = self._side_by_side(self._create, tasks)
        added = [task for task, is_new in zip(tasks, tried, strict=True) if is_new is True]
        self._let_in([task.marker for task in added], added)
        for one in tried:
            if isinstance(one, Exception):
                raise one
        return [one is True for one in tried]

    def _create(self, task: Kept) -> bool:
        body = task.written()
        while True:
            if self.bucket.create(self._object(task.name), body) is not None:
                return True
            there = self.read(task.name)
            if there is None:
                continue  # it was purged a moment ago
            if there.kept.stage is not None:
                self.complete(there.kept, task.put_at)
                return there.kept.place == task.place
            self._tell([there.kept])
            if self.bucket.replace(self._object(task.name), body, there.etag) is not None:
                return True

    def complete(self, task: Kept, now: datetime) -> None:
        """Write the marker of a task that has only been put: whoever put it perhaps has not."""
        if task.revision == 1:
            marker = task.marker if task.due > now else task.at_home(Home.WAITING)
            self._let_in([marker], [task])

    def tell_of_new(self, tasks: Sequence[Kept], now: datetime) -> None:
        """Bring to its end what puts have left that did not come to tell."""
        if self._recorder():
            for task in tasks:
                self.complete(task, now)

    def _let_in(self, markers: Sequence[Marker], tasks: Sequence[Kept]) -> None:
        """Let new tasks be found, and tell of them."""
        told = [self.key(task.at_home(Home.NEW)) for task in tasks if self._recorder()]
        self.all_of(self.bucket.write, told)
        self.all_of(self.bucket.write, [self.key(marker) for marker in markers])
        self._tell(tasks)
        self.bucket.delete(told)

    def purge(self, founds: Sequence[Found], now: datetime) -> int:
        """Purge settled tasks; how many."""
        changes = [Change(found, Move.PURGE, {"text": "", "result": None}) for found in founds]
        gone = [found for found in self.make(changes, now) if found]
        self.bury(gone)
        return len(gone)

    def bury(self, gone: Sequence[Found]) -> None:
        """Delete what a purge has left."""
        self._tell(found.kept for found in gone)
        if self.deletes_safely:
            self.all_of(
                lambda found: self.bucket.delete_if(self._object(found.kept.name), found.etag),
                gone,
            )
        self.bucket.delete([self.key(found.kept.marker) for found in gone])

    # --- Helpers ------------------------------------------------------------------------------

    def key(self, marker: Marker) -> str:
        """The marker's key in the bucket."""
        return f"{self.base}{marker.key}"

    def all_of(self, do: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
        """Do it to all, side by side. Raises what the first raised, when all are done."""
        done = self._side_by_side(do, items)
        for one in done:
            if isinstance(one, Exception):
                raise one
        return [one for one in done if not isinstance(one, Exception)]

    def _side_by_side(self, do: Callable[[In], Out], items: Sequence[In]) -> list[Out | Exception]:
        def tried(item: In) -> Out | Exception:
            try:
                return do(item)
            except Exception as error:  # noqa: BLE001 - it is the answer, and raised by the caller
                return error

        if len(items) < 2:
            return [tried(item) for item in items]
        return list(self._threads().map(tried, items))

    def _object(self, name: str) -> str:
        return f"{self.base}tasks/{name}"

    def _tell(self, tasks: Iterable[Kept]) -> None:
        tales: list[Moved] = [tale for task in tasks for tale in task.untold]
        if tales and (recorder := self._recorder()):
            recorder.record(tales)

    def _clear(self, over: Sequence[tuple[Marker, Found | None]]) -> None:
        self._tell(found.kept for _, found in over if found)
        self.bucket.delete([self.key(marker) for marker, _ in over])


def new_nonce() -> str:
    """What tells one writing of an object from all others."""
    return secrets.token_hex(4)
