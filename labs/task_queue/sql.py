"""A task queue in a SQL database: SQLite for one machine, PostgreSQL for many.

`SqlQueue` is a handle; any number of processes may have one on the same queue, and queues of
other names share its tables. Each move is one statement (on PostgreSQL with SKIP LOCKED), so two
workers can't both make it, and a crash leaves it made or not made. Moves that have events are
one transaction with them. Leases and delays count by the clock of PostgreSQL, or with SQLite by
that of the host. An answer that was lost on the way is a claim that nobody has: a lease brings
the task back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from labs.errors import LabError
from labs.task_queue.errors import BadTask, TaskError
from labs.task_queue.queue import Recorder, TaskQueue
from labs.task_queue.sql_database import Database, Rows, Session
from labs.task_queue.sql_schema import SCHEMA
from labs.task_queue.sql_telling import Telling
from labs.task_queue.sql_text import POSTGRESQL, SQLITE, Statements, statements
from labs.task_queue.sql_values import (
    escaped,
    items,
    maybe,
    moved_by,
    new_row,
    place_of,
    plain,
    put_told,
    standing_of,
    task_of,
    time_of,
)
from labs.task_queue.sql_waiting import Waiting
from labs.task_queue.stages import Move, Stage
from labs.task_queue.tasks import (
    GAVE_UP,
    LONGEST_DELAY_S,
    Claim,
    Hold,
    Json,
    Moved,
    NewTask,
    Page,
    Put,
    Settling,
    Task,
    admitted_id,
    admitted_number,
    admitted_stage,
    refusal,
)

LONGEST_NAME = 128
"""Characters of a queue's name."""
ALL = 2**62
PURGED_AT_ONCE = 5_000
TRIES = 20
NEVER = datetime.max.replace(tzinfo=UTC)


class SqlQueue(TaskQueue):
    """A handle on the queue of this name in a database."""

    def __init__(self, database: Database, queue_name: str) -> None:
        """Open the queue; its tables are made if need be.

        Raises:
            BadTask: the name can't be one.
            StoreUnreachable, StoreUnfit: the database does not answer, or can't be used.
        """
        super().__init__()
        self.database = database
        self._session: Session | None = None
        self._take_name(queue_name)
        SCHEMA.prepare(database)
        d = POSTGRESQL if database.name == "postgresql" else SQLITE
        self._say = Statements(
            **{name: database.compiled(text) for name, text in vars(statements(d)).items()}
        )

    @classmethod
    def connect(cls, url: str, queue_name: str) -> SqlQueue:
        """Open the queue at `postgresql://user:password@host/database` or `sqlite:///path`.

        Raises:
            BadInput: the URL can't be meant. StoreUnreachable, StoreUnfit: as above.
        """
        database = Database.at(url)
        try:
            return cls(database, queue_name)
        except LabError:
            database.close()
            raise

    def named(self, queue_name: str) -> SqlQueue:
        """The queue of another name in the same database: nothing is asked or made for it.

        Raises:
            BadTask: the name can't be one.
        """
        other = copy(self)
        other._take_name(queue_name)
        return other

    def _take_name(self, queue_name: str) -> None:
        if not queue_name or len(admitted_id(queue_name)) > LONGEST_NAME:
            raise BadTask(
                f"A queue's name has 1 to {LONGEST_NAME} characters, not {queue_name!r:.80}.",
                remedy="Such as orders.",
            )
        self.name, self._queue = queue_name, escaped(queue_name)
        self._telling = Telling(self.database, self._queue)
        self._waiting = Waiting(self.database, self._queue)

    def within(self, session: Session, recorder: Recorder | None = None) -> SqlQueue:
        """A handle whose verbs are part of a transaction, with whatever else is written in it.

        Args:
            session: a transaction of `database`, for as long as the handle is used.
            recorder: is told of the moves in it, at once; it may write by the same session.
        """
        part = copy(self)
        part._session, part.recorder = session, recorder
        return part

    def description(self) -> dict[str, Json]:
        """`implementation`, `engine_url` without the password, and `queue_name`."""
        return {
            "implementation": "sql",
            "engine_url": self.database.place,
            "queue_name": self.name,
        }

    def __repr__(self) -> str:
        """Which queue where."""
        return f"<SqlQueue {self.name!r} at {self.database.place}>"

    def close(self) -> None:
        """Close the connections."""
        self._waiting.close()
        self.database.close()

    # --- The verbs ----------------------------------------------------------------------------

    def _put(self, tasks: Sequence[NewTask]) -> Put:
        by_key = {escaped(task.id): task for task in tasks}
        said = json.dumps([new_row(key, task) for key, task in by_key.items()])
        with self._moving() as (session, moved):
            rows = self._run(session, self._say.put, {"items": said})
            if self.recorder:
                moved += [put_told(by_key[key], at) for key, at, *_ in rows]
        added = {by_key[row[0]].id for row in rows}
        return Put(
            [task.id for task in tasks if task.id in added],
            [task.id for task in tasks if task.id not in added],
        )

    def put_each(self, tasks: Sequence[NewTask]) -> Put:
        """As `put`, each task with options of its own; they are admitted already."""
        return self._put(tasks)

    def _get(self, n: int, lease_s: float | None, owner: str | None) -> list[Claim]:
        params = {"n": n, "lease_s": lease_s, "owner": maybe(escaped, owner)}
        with self._moving() as (session, moved):
            rows = self._run(session, self._say.claim, params)
            if not rows:
                ((is_due, is_ready),) = self._run(session, self._say.is_any, {})
                if is_due:
                    self._count_what_is_due(session, moved)
                if is_due or is_ready:  # or it was another's for a moment
                    rows = self._run(session, self._say.claim_any, params)
            if self.recorder:
                moved += [moved_by(Move.CLAIM, row) for row in rows]
        return _claims(rows)

    def take(
        self, ids: Collection[str], *, lease_s: float | None = None, owner: str | None = None
    ) -> list[Claim]:
        """Claim just these tasks, as far as they can be claimed; the line is passed over."""
        return self.take_each(dict.fromkeys(ids, (owner, lease_s)))

    def take_each(self, hands: Mapping[str, tuple[str | None, float | None]]) -> list[Claim]:
        """As `take`, each task by an owner of its own, with a lease of its own in seconds."""
        said = [
            {"key": escaped(id_), "hand": maybe(escaped, owner), "lease_s": lease_s}
            for id_, (owner, lease_s) in hands.items()
        ]
        with self._moving() as (session, moved):
            rows = self._run(session, self._say.take, {"items": json.dumps(said)})
            if self.recorder:
                moved += [moved_by(Move.CLAIM, row) for row in rows]
        return _claims(rows)

    def postpone(self, ids: Collection[str], delay_s: float) -> list[str]:
        """Let tasks be claimed so long from now (0: at once); they keep their place in the line.

        Returns:
            The ids of those that are WAITING; with the others nothing is done.
        """
        delay_s = admitted_number(delay_s, "delay_s", 0, LONGEST_DELAY_S)
        said = json.dumps([{"key": escaped(id_)} for id_ in ids])
        with self._moving() as (session, _):
            rows = self._run(session, self._say.postpone, {"items": said, "delay_s": delay_s})
        return [plain(row[0]) for row in rows]

    def _peek(self, n: int) -> list[tuple[str, Json]]:
        with self._looking() as session:
            rows = self._run(session, self._say.peek, {"n": n})
        return [(plain(id_), json.loads(body)) for id_, body in rows]

    def _settle(self, settlings: Sequence[Settling]) -> dict[str, TaskError]:
        by_id = {settling.hold.id: settling for settling in settlings}

        def said(hold: Hold) -> dict[str, Json]:
            settling = by_id[hold.id]
            return {
                "done": settling.succeeded,
                "outcome": settling.result,
                "words": settling.reason,
            }

        holds = [settling.hold for settling in settlings]
        return self._move(self._say.settle, holds, lambda id_: by_id[id_].move, said=said)

    def _extend(self, holds: Sequence[Hold], lease_s: float) -> dict[str, TaskError]:
        return self._move(self._say.extend, holds, None, lease_s=lease_s)

    def _release(self, holds: Sequence[Hold], delay_s: float) -> dict[str, TaskError]:
        return self._move(self._say.release, holds, lambda _: Move.RELEASE, delay_s=delay_s)

    def refuse_each(self, reasons: Mapping[str, str]) -> dict[str, TaskError]:
        """As `refuse`, each for a reason of its own; the errors of those that are as they were."""
        return self._move(
            self._say.refuse,
            [Hold(id_, None, None) for id_ in reasons],
            lambda _: Move.REFUSE,
            said=lambda hold: {"words": reasons[hold.id]},
        )

    def _refuse(self, hold: Hold, reason: str) -> dict[str, TaskError]:
        return self.refuse_each({hold.id: reason})

    def _requeue(self, ids: Sequence[str]) -> list[str]:
        holds = [Hold(id_, None, None) for id_ in ids]
        refused = self._move(self._say.requeue, holds, lambda _: Move.REQUEUE)
        return [id_ for id_ in ids if id_ not in refused]

    def _purge(self, older_than: timedelta) -> int:
        params = {"age_s": older_than.total_seconds(), "n": PURGED_AT_ONCE}
        purged = 0
        while True:
            with self._moving() as (session, moved):
                self._count_what_is_due(session, moved)
                rows = self._run(session, self._say.purge, params)
                if self.recorder:
                    moved += [moved_by(Move.PURGE, row) for row in rows]
            purged += len(rows)
            if len(rows) < PURGED_AT_ONCE:
                return purged

    def recover(self) -> int:
        """Tell the recorder of moves that were made, and not told for a crash."""
        return self._telling.recover(self.recorder) if self.recorder else 0

    # --- Looking ------------------------------------------------------------------------------

    def size(self, queue_item_stage: Stage) -> int:
        """How many tasks are in a stage; the others are not counted."""
        stage = admitted_stage(queue_item_stage)
        with self._looking() as session:
            return int(self._run(session, self._say.size, {"stage": int(stage)})[0][0])

    def _sizes(self) -> dict[Stage, int]:
        with self._looking() as session:
            counted = {row[0]: row[1] for row in self._run(session, self._say.sizes, {})}
        return {stage: counted.get(stage, 0) for stage in Stage}

    def _find(self, id_: str) -> Task | None:
        with self._looking() as session:
            rows = self._run(session, self._say.find, {"id": escaped(id_)})
        return task_of(rows[0]) if rows else None

    def _page(self, stage: Stage, limit: int | None, after: str | None) -> Page:
        n = ALL if limit is None else limit + 1
        params = {"stage": int(stage), "after": place_of(after), "n": n}
        with self._looking() as session:
            rows = self._run(session, self._say.page, params)
        ids = [plain(id_) for id_, _ in rows[:limit]]
        more = limit is not None and len(rows) > limit
        return Page(ids, next=str(rows[len(ids) - 1][1]) if more else None)

    def _wait(self, timeout_s: float) -> None:
        self._waiting.wait(timeout_s)

    # --- How a move is made -------------------------------------------------------------------

    def _run(self, session: Session, statement: str, params: Mapping[str, Any]) -> Rows:
        given = {"queue": self._queue, **params}
        if self.database.name == "sqlite":
            given["now"] = time.time()
        return session.run(statement, given)

    @contextmanager
    def _moving(self) -> Iterator[tuple[Session, list[Moved]]]:
        """A session, and a list for the moves that are made in it, which are then told."""
        moved: list[Moved] = []
        recorder, number = self.recorder, None
        if self._session is not None:
            yield self._session, moved
            if recorder and moved:
                recorder.record(moved)
            return
        # Untold, a statement that moves is a transaction by itself.
        with self.database.session(writes=True, transaction=recorder is not None) as session:
            if recorder:
                self._telling.begin(session, recorder)
            yield session, moved
            if recorder and moved:
                number = self._telling.note(session, recorder, moved)
        if recorder and number is not None:
            self._telling.tell(recorder, number, moved)

    @contextmanager
    def _looking(self) -> Iterator[Session]:
        """A session, before which all that is due has been made to count."""
        if self._session is not None:
            with self._moving() as (session, moved):
                self._count_what_is_due(session, moved)
            yield self._session
            return
        with self.database.session() as session:
            is_due = self._run(session, self._say.is_due, {})[0][0]
            if not is_due:
                yield session
        if is_due:
            with self._moving() as (session, moved):
                self._count_what_is_due(session, moved)
            with self.database.session() as session:
                yield session

    def _count_what_is_due(self, session: Session, moved: list[Moved]) -> bool:
        """Let delays that have passed and leases that have run out count; whether any had."""
        if not self._run(session, self._say.is_due, {})[0][0]:
            return False
        self._run(session, self._say.wake_delayed, {})
        rows = self._run(session, self._say.end_leases, {"gave_up": GAVE_UP})
        if self.recorder:
            moved += [
                moved_by(Move.GIVE_UP if row[4] == Stage.FAIL else Move.EXPIRE, row) for row in rows
            ]
        return True

    def _move(
        self,
        statement: str,
        holds: Sequence[Hold],
        move_of: Callable[[str], Move] | None,
        *,
        said: Callable[[Hold], dict[str, Json]] = lambda _: {},
        **params: float,
    ) -> dict[str, TaskError]:
        """Move what may be moved, and say of the rest why not. No `move_of`: it is to extend.

        The statement has the rule as a condition. What it left is asked for the reason; if there
        is none by then, for somebody was quicker, it is tried again.
        """
        left = {hold.id: hold for hold in holds}
        refused: dict[str, TaskError] = {}
        for again in range(TRIES):
            with self._moving() as (session, moved):
                if again:
                    self._count_what_is_due(session, moved)
                given = {"items": items(left.values(), said), **params}
                for row in self._run(session, statement, given):
                    hold = left.pop(plain(row[0]))
                    if move_of and self.recorder:
                        move = move_of(hold.id)
                        if move is Move.FAIL and row[4] == Stage.WAITING:
                            move = Move.RETRY
                        moved.append(moved_by(move, row))
                if again and left:
                    refused |= self._refusals(session, left.values(), move_of)
            left = {id_: hold for id_, hold in left.items() if id_ not in refused}
            if not left:
                return refused
        raise AssertionError(f"{len(left)} tasks could be neither moved nor refused")

    def _refusals(
        self, session: Session, holds: Collection[Hold], move_of: Callable[[str], Move] | None
    ) -> dict[str, TaskError]:
        said = {"items": items(holds, lambda _: {})}
        rows = self._run(session, self._say.standings, said)
        found = {plain(row[0]): row[1:] for row in rows}
        refused = {}
        for hold in holds:
            row = found.get(hold.id)
            standing, now = (standing_of(row), time_of(row[5])) if row else (None, NEVER)
            if error := refusal(hold, standing, move_of and move_of(hold.id), now):
                refused[hold.id] = error
        return refused


def _claims(rows: Rows) -> list[Claim]:
    """What was claimed, in the order of the line."""
    return [
        Claim(
            plain(row[0]),
            json.loads(row[4]),
            owner=maybe(plain, row[2]),
            attempt=row[5],
            move=row[1],
            lease_ends=maybe(time_of, row[6]),
        )
        for row in sorted(rows, key=lambda row: (-row[7], row[8]))
    ]


def json_sql_queue(engine: Engine, queue_name: str) -> SqlQueue:
    """The queue of this name in the engine's database, as known."""
    return SqlQueue(Database(engine), queue_name)
