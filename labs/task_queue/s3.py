"""A task queue in a bucket of an S3 store: `json_s3_queue("s3://bucket/prefix")`.

`s3_moves` says why two workers never win the same task and why a crash loses nothing. There is
no index: a verb lists the heads of prefixes, and what else is stored costs it nothing.

Requests: `put` 2 a task (3 for one that is there); `get` 3, and 4 a claim; `peek` 3, and 1 a
task; `success`, `fail`, `extend`, `release`, `requeue` 4 a task, `refuse` 5; `lookup_…` of an id
1 or 2. To these come 4 for a task whose lease has run out and 2 for a delay that has passed,
once for each, and a repetition for each race that was lost. Sizes, pages and `purge` list what
there is, a thousand to a request.

The line: higher priorities first, then older puts, by the clocks of those who put: what one
process puts, and one process after another on one machine, comes out in that order. At most 32
leases and 32 delays that have passed are let count by one `get`, the earliest first. Who loses
a race for the head looks further on, at random among the next 64 of the same priority (16 times
as many as it wants, if that is more); so many workers take tasks only about in order, a lone one
exactly.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from labs.task_queue.errors import BadTask, TaskError
from labs.task_queue.queue import TaskQueue
from labs.task_queue.s3_bucket import Bucket
from labs.task_queue.s3_counting import Census, of_place
from labs.task_queue.s3_moves import Change, Found, Moves, new_nonce
from labs.task_queue.s3_place import Place, bucket_at
from labs.task_queue.s3_probe import probe
from labs.task_queue.s3_tasks import HOMES, Home, Kept, Seen, name_of, place_of, ticks
from labs.task_queue.stages import Move, Stage
from labs.task_queue.tasks import (
    Claim,
    Hold,
    Json,
    NewTask,
    Page,
    Put,
    Settling,
    Task,
    after_failure,
    pause_s,
    refusal,
)

THREADS = 16
AT_ONCE = 32
"""Leases and delays that one `get` lets count, of each at most."""
SPARE = 4
"""Markers listed beyond those wanted, for some may not count."""
WINDOW = 64
"""How far from the head of the line those look who meet others there,"""
OTHERS = 16
"""or so many times as far as they want tasks,"""
WIDEST = 900
"""but no further than this."""
LOOK_EVERY_S = 0.2


class S3Queue(TaskQueue):
    """A handle on the queue at a place in a bucket, for any number of threads."""

    def __init__(self, bucket: Bucket, prefix: str = "") -> None:
        """Try the store, by a few objects of its own under the prefix.

        Raises:
            StoreUnfit: it ignores the conditions of writes.
            StoreUnreachable: it does not answer, or refuses the credentials or the bucket.
        """
        super().__init__()
        self._bucket, self._prefix = bucket, prefix
        base = f"{prefix}/" if prefix else ""
        self._moves = Moves(bucket, base, lambda: self.recorder, threads=THREADS)
        self._stamp_ns = 0
        self._stamping = threading.Lock()
        self._spread = 0
        """How far from the head this handle looks: 0 until it has met others there."""
        try:
            self._moves.deletes_safely = probe(self._moves)
        except BaseException:
            self.close()
            raise

    def description(self) -> dict[str, Json]:
        """`implementation`, `s3_path` and `endpoint`."""
        path = "/".join(part for part in (self._bucket.name, self._prefix) if part)
        return {
            "implementation": "s3",
            "s3_path": f"s3://{path}",
            "endpoint": self._bucket.endpoint,
        }

    def close(self) -> None:
        """Close the connections."""
        self._moves.close()
        self._bucket.close()

    # --- The verbs ----------------------------------------------------------------------------

    def _put(self, tasks: Sequence[NewTask]) -> Put:
        now, stamp = datetime.now(UTC), self._next_stamps(len(tasks))
        kept = [
            Kept(
                id=task.id,
                place=place_of(task.priority, stamp + number, new_nonce()),
                priority=task.priority,
                max_attempts=task.max_attempts,
                backoff_s=task.backoff_s,
                put_at=now,
                due=_later(now, task.delay_s),
                text=task.text,
                home=Home.DELAYED if task.delay_s else Home.WAITING,
                nonce=new_nonce(),
            )
            for number, task in enumerate(tasks)
        ]
        new = self._moves.put(kept)
        return Put(
            [task.id for task, is_new in zip(tasks, new, strict=True) if is_new],
            [task.id for task, is_new in zip(tasks, new, strict=True) if not is_new],
        )

    def _get(self, n: int, lease_s: float | None, owner: str | None) -> list[Claim]:
        heads, is_all = self._heads(n, datetime.now(UTC))
        claims: list[Found] = []
        tried: set[str] = set()
        while heads and len(claims) < n:
            chosen = self._chosen(heads, n - len(claims))
            tried.update(map(_key, chosen))
            claims += self._claimed(chosen, lease_s, owner)
            heads = [one for one in heads if _key(one) not in tried]
            if not heads and not is_all and len(claims) < n:
                heads = self._more(n - len(claims), tried)
        claims.sort(key=lambda found: found.kept.place)
        return [found.kept.claim() for found in claims]

    def _claimed(
        self, chosen: Sequence[Seen], lease_s: float | None, owner: str | None
    ) -> list[Found]:
        now = datetime.now(UTC)
        sets: dict[str, Any] = {
            "owner": owner,
            "lease_ends": None if lease_s is None else _later(now, lease_s),
            "claimed_at": now,
        }
        free = self._moves.counting(chosen, now)
        changes = [
            Change(found, Move.CLAIM, sets | {"attempts": found.kept.attempts + 1})
            for found in free
        ]
        claimed = [found for found in self._moves.make(changes, now, some_will_do=True) if found]
        if len(claimed) < len(chosen):
            self._spread = min(WIDEST, 2 * self._spread + 2 * len(chosen))
        else:
            self._spread //= 2
        return claimed

    def _peek(self, n: int) -> list[tuple[str, Json]]:
        seen, is_all = self._heads(n, datetime.now(UTC))
        found: list[Kept] = []
        while seen and len(found) < n:
            first, seen = seen[: n - len(found)], seen[n - len(found) :]
            found += [one.kept for one in self._moves.counting(first, datetime.now(UTC))]
            if not seen and not is_all and len(found) < n:
                seen = self._moves.listed(Home.WAITING, limit=n, after=_key(first[-1]))
                is_all = len(seen) < n
        shown = [kept.shown() for kept in found]
        return [(task.id, task.body) for task in shown]

    def _settle(self, settlings: Sequence[Settling]) -> dict[str, TaskError]:
        by_id = {settling.hold.id: settling for settling in settlings}

        def change(found: Found, now: datetime) -> Change:
            settling, kept = by_id[found.kept.id], found.kept
            if settling.succeeded:
                sets = {"settled_at": now, "result": settling.result, "reason": ""}
                return Change(found, Move.SUCCEED, sets | {"lease_ends": None})
            move = after_failure(kept.attempts, kept.max_attempts)
            sets = {"lease_ends": None, "reason": settling.reason}
            if move is Move.RETRY:
                due = _later(now, pause_s(kept.backoff_s, kept.attempts))
                return Change(found, move, sets | {"due": due})
            return Change(found, move, sets | {"settled_at": now})

        return self._each([(one.hold, one.move) for one in settlings], change)

    def _extend(self, holds: Sequence[Hold], lease_s: float) -> dict[str, TaskError]:
        def change(found: Found, now: datetime) -> Change:
            return Change(found, None, {"lease_ends": _later(now, lease_s)})

        return self._each([(hold, None) for hold in holds], change)

    def _release(self, holds: Sequence[Hold], delay_s: float) -> dict[str, TaskError]:
        def change(found: Found, now: datetime) -> Change:
            sets = {"lease_ends": None, "attempts": found.kept.attempts - 1}
            return Change(found, Move.RELEASE, sets | {"due": _later(now, delay_s)})

        return self._each([(hold, Move.RELEASE) for hold in holds], change)

    def _refuse(self, hold: Hold, reason: str) -> dict[str, TaskError]:
        def change(found: Found, now: datetime) -> Change:
            self._moves.complete(found.kept, now)
            return Change(found, Move.REFUSE, {"settled_at": now, "reason": reason})

        return self._each([(hold, Move.REFUSE)], change)

    def _requeue(self, ids: Sequence[str]) -> list[str]:
        def change(found: Found, now: datetime) -> Change:
            sets = {"attempts": 0, "owner": None, "settled_at": None, "reason": "", "due": now}
            return Change(found, Move.REQUEUE, sets)

        refused = self._each([(Hold(id_, None, None), Move.REQUEUE) for id_ in ids], change)
        return [id_ for id_ in ids if id_ not in refused]

    def _purge(self, older_than: timedelta) -> int:
        now, purged = datetime.now(UTC), 0
        self._let_count(now)
        last = ticks(now - older_than)
        for home in (Home.SUCCESS, Home.FAIL):
            old = [seen for seen in self._moves.listed_all(home) if seen.marker.time <= last]
            for first in range(0, len(old), WINDOW):
                settled = self._moves.counting(old[first : first + WINDOW], now)
                purged += self._moves.purge(settled, now)
        self._census().bury()
        return purged

    # --- Looking ------------------------------------------------------------------------------

    def _sizes(self) -> dict[Stage, int]:
        self._let_count(datetime.now(UTC))
        return self._census().sizes()

    def _size(self, stage: Stage) -> int:
        """What is processed is asked for often, and is little: it is counted by itself."""
        if stage is not Stage.PROCESSING:
            return self._sizes()[stage]
        now = datetime.now(UTC)
        self._let_count(now)
        return len(self._moves.counting(list(self._moves.listed_all(Home.PROCESSING)), now))

    def _find(self, id_: str) -> Task | None:
        now = datetime.now(UTC)
        found = self._moves.read(name_of(id_))
        while found and found.kept.is_run_out(now):
            self._moves.run_out([found], now)
            found = self._moves.read(name_of(id_))
        if found is None or found.kept.stage is None:
            return None
        self._moves.complete(found.kept, now)
        return found.kept.shown()

    def _page(self, stage: Stage, limit: int | None, after: str | None) -> Page:
        if after is not None and not re.fullmatch(r"[0-9a-f]{28}", after):
            raise BadTask(
                f"{after!r:.80} is no place in a list of tasks.",
                remedy="Give the next of the page before.",
            )
        self._let_count(datetime.now(UTC))
        if limit is None:
            return Page(self._census().ids(stage, after or ""))
        ids: dict[str, str] = {}
        while len(ids) <= limit:
            seen = of_place(self._moves, HOMES[stage], after or "", limit + 1)
            counting = self._moves.counting(seen, datetime.now(UTC))
            ids.update((one.kept.place, one.kept.id) for one in counting)
            if len(seen) <= limit:
                break
            after = seen[-1].marker.place
        places = list(ids)[:limit]
        found = [ids[place] for place in places]
        return Page(found, next=places[-1] if len(ids) > limit else None)

    def recover(self) -> int:
        """Tell the recorder of moves that were made but not told; it lists all that is stored."""
        self._let_count(datetime.now(UTC))
        return self._census().mended

    def _wait(self, timeout_s: float) -> None:
        """S3 calls nobody: look again in a moment."""
        time.sleep(min(timeout_s, LOOK_EVERY_S))

    # --- How it is done -----------------------------------------------------------------------

    def _heads(self, n: int, now: datetime) -> tuple[list[Seen], bool]:
        """The head of the line, once leases that have ended and delays that have passed count.

        Returns:
            The markers, and whether there are no more.
        """
        limits = {
            Home.PROCESSING: AT_ONCE,
            Home.DELAYED: AT_ONCE,
            Home.WAITING: n + SPARE + self._reach(n),
        }

        def listed(home: Home) -> list[Seen]:
            return self._moves.listed(home, limit=limits[home])

        leased, delayed, waiting = self._moves.all_of(listed, list(limits))
        if self._due_count(leased, delayed, now):
            waiting = listed(Home.WAITING)
        return waiting, len(waiting) < limits[Home.WAITING]

    def _due_count(self, leased: Sequence[Seen], delayed: Sequence[Seen], now: datetime) -> bool:
        """Let those count whose time has come; whether there are any."""
        ended = [one for one in leased if one.marker.time <= ticks(now)]
        passed = [one for one in delayed if one.marker.time <= ticks(now)]
        if ended:
            held = self._moves.counting(ended, now)
            self._moves.run_out([one for one in held if one.kept.is_run_out(now)], now)
        if passed:
            self._moves.let_due(passed)
        return bool(ended or passed)

    def _let_count(self, now: datetime) -> None:
        """Let all leases that have ended count."""
        after = ""
        while True:
            leased = self._moves.listed(Home.PROCESSING, limit=WINDOW, after=after)
            if not self._due_count(leased, [], now) or len(leased) < WINDOW:
                return
            after = _key(leased[-1])

    def _chosen(self, heads: Sequence[Seen], n: int) -> Sequence[Seen]:
        """The first n; or, where others take from the head too, n from a little further on."""
        if not self._spread or len(heads) <= n:
            return heads[:n]
        priority = heads[0].marker.place[:4]
        alike = sum(one.marker.place[:4] == priority for one in heads)
        first = random.randint(0, max(0, min(self._reach(n), alike - n)))
        return heads[first : first + n]

    def _reach(self, n: int) -> int:
        """How far beyond the n next ones this handle looks."""
        return min(self._spread, max(WINDOW, OTHERS * n))

    def _more(self, n: int, tried: set[str]) -> list[Seen]:
        """Markers that were not tried yet, wherever in the line they are by now."""
        after = ""
        while True:
            seen = self._moves.listed(Home.WAITING, limit=n + WINDOW, after=after)
            fresh = [one for one in seen if _key(one) not in tried]
            if fresh or len(seen) < n + WINDOW:
                return fresh
            after = _key(seen[-1])

    def _each(
        self,
        wanted: Sequence[tuple[Hold, Move | None]],
        change: Callable[[Found, datetime], Change],
    ) -> dict[str, TaskError]:
        """Make a change of each task, or say why not; what lost a race is looked at anew."""
        refused: dict[str, TaskError] = {}
        while wanted:
            now = datetime.now(UTC)
            founds = self._moves.read_all([name_of(hold.id) for hold, _ in wanted])
            changes, again = [], []
            run_out = {
                found.kept.id: found for found in founds if found and found.kept.is_run_out(now)
            }
            self._moves.run_out(list(run_out.values()), now)
            for (hold, move), found in zip(wanted, founds, strict=True):
                standing = found.kept.standing if found else None
                if hold.id in run_out:
                    again.append((hold, move))
                elif error := refusal(hold, standing, move, now):
                    refused[hold.id] = error
                elif found:
                    changes.append(((hold, move), change(found, now)))
            made = self._moves.make([one for _, one in changes], now)
            lost = [what for (what, _), one in zip(changes, made, strict=True) if one is None]
            wanted = again + lost
        return refused

    def _census(self) -> Census:
        return Census(self._moves, datetime.now(UTC))

    def _next_stamps(self, n: int) -> int:
        """The first of n stamps, later than all before."""
        with self._stamping:
            first = max(time.time_ns(), self._stamp_ns)
            self._stamp_ns = first + n
            return first


def json_s3_queue(
    base_path: str,
    *,
    endpoint_url: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    region: str | None = None,
) -> S3Queue:
    """The queue at `s3://bucket/prefix` or `bucket/prefix`.

    Args:
        base_path: each prefix is a queue of its own.
        endpoint_url: the store's address; None: FSSPEC_S3_ENDPOINT_URL, AWS_ENDPOINT_URL_S3
            or AWS_ENDPOINT_URL, else Amazon's.
        access_key_id, secret_access_key, session_token, region: None: AWS_ACCESS_KEY_ID,
            AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION or AWS_DEFAULT_REGION; for the
            credentials then wherever boto3 looks.

    Raises:
        BadInput: the path can't be meant, or there are no credentials.
        StoreUnfit, StoreUnreachable: as `S3Queue`.
    """
    place = Place.read(base_path)
    given = {
        "endpoint_url": endpoint_url,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "session_token": session_token,
        "region": region,
    }
    return S3Queue(bucket_at(place, given, connections=THREADS), place.prefix)


def _later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


def _key(seen: Seen) -> str:
    return seen.marker.key
