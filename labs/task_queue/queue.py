"""A task queue: the verbs, and the door that is the same for every store.

`TaskQueue` admits what comes in, says the sentences and warnings, and asks the store for the
rest by a few methods that begin with an underscore. So ids, bodies and numbers are refused
alike everywhere, and a store is nothing but keeping and moving. Callers of the known interface
use `put`, `get`, `success`, `fail` as ever; what is beyond it has defaults that change nothing.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import ClassVar, Protocol, Self

from labs.task_queue.errors import BadTask, TaskError, UnknownTask
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import (
    LONGEST_DELAY_S,
    MOST,
    PRIORITIES,
    Claim,
    Fail,
    Hold,
    Json,
    Moved,
    NewTask,
    Page,
    Put,
    Settling,
    Success,
    Task,
    admitted_count,
    admitted_id,
    admitted_json,
    admitted_many,
    admitted_name,
    admitted_number,
    admitted_reason,
    admitted_stage,
)

ALREADY = "Item '{}' already in queue. Skipping."
NOT_FAILED = "Item '{}' not in a FAIL state. Skipping."
"""The known warnings, word for word."""
LONGEST_AGE = timedelta(days=36_500)
"""What `purge` is asked for; before that there were no tasks."""
LOOK_S = 0.5
"""A waiter looks at least so often: leases run out, and delays, without a message."""


class Recorder(Protocol):
    """Is told of every move, by the store that makes it, as part of making it.

    A store that can, tells it before anybody sees the move's effect, and makes no move if this
    raises. One that can't keeps with the task what it has not told yet, so that the next move of
    the task, or `TaskQueue.recover`, tells it. The same move may be told twice.
    """

    def record(self, moves: Sequence[Moved]) -> None:
        """Write the moves down."""


class TaskQueue(ABC):
    """Tasks that move through stages, each claimed by one owner at a time."""

    tells_moves: ClassVar[bool] = True
    """Whether `recorder` is told of the moves; not by a client, whose service makes them."""

    def __init__(self) -> None:
        self._nonce = secrets.token_hex(4)
        self.recorder: Recorder | None = None

    @property
    def identity(self) -> str:
        """The owner of what this handle claims with a lease, where no owner is named."""
        return f"{socket.gethostname()}-{os.getpid()}-{self._nonce}"

    # --- The verbs ----------------------------------------------------------------------------

    def put(
        self,
        items: Mapping[str, Json],
        *,
        priority: int = 0,
        delay_s: float = 0.0,
        max_attempts: int | None = None,
        backoff_s: float = 1.0,
    ) -> Put:
        """Add tasks, WAITING. An id that is there already, in any stage, is skipped with a warning.

        Args:
            items: ids to bodies.
            priority: higher ones are claimed first; among equals the older.
            delay_s: they can't be claimed before it has passed.
            max_attempts: a failed task waits again, with a pause, until it has been claimed so
                often. None: the first failure is final, and leases may run out without limit.
            backoff_s: the first pause after a failure; it doubles, to an hour.

        Raises:
            BadTask: an id, a body or a number can't be meant. Nothing has been stored.
            StoreUnreachable: try again; what was stored is then only skipped.
        """
        done = self.put_quietly(
            items,
            priority=priority,
            delay_s=delay_s,
            max_attempts=max_attempts,
            backoff_s=backoff_s,
        )
        for id_ in done.present:
            warnings.warn(ALREADY.format(id_), stacklevel=2)
        return done

    def put_quietly(
        self,
        items: Mapping[str, Json],
        *,
        priority: int = 0,
        delay_s: float = 0.0,
        max_attempts: int | None = None,
        backoff_s: float = 1.0,
    ) -> Put:
        """As `put`, without the warnings: for a program that reads the answer."""
        if not isinstance(items, Mapping):
            raise BadTask(
                f"put wants a mapping of ids to bodies, not {items!r:.80}.",
                remedy='Such as put({"task-1": {"n": 1}}).',
            )
        priority = admitted_count(priority, "priority", PRIORITIES[0], PRIORITIES[-1])
        delay_s = admitted_number(delay_s, "delay_s", 0, LONGEST_DELAY_S)
        backoff_s = admitted_number(backoff_s, "backoff_s", 0, LONGEST_DELAY_S)
        if max_attempts is not None:
            max_attempts = admitted_count(max_attempts, "max_attempts", 1, 1_000_000)
        tasks = [
            NewTask(
                id=admitted_id(id_),
                text=admitted_json(body, f"The body of {id_!r:.80}"),
                priority=priority,
                delay_s=delay_s,
                max_attempts=max_attempts,
                backoff_s=backoff_s,
            )
            for id_, body in items.items()
        ]
        return self._put(tasks) if tasks else Put((), ())

    def get(
        self,
        n_items: int = 1,
        *,
        lease_s: float | None = None,
        owner: str | None = None,
        wait_s: float = 0.0,
    ) -> list[Claim]:
        """Claim up to so many tasks: they move from WAITING to PROCESSING.

        Args:
            lease_s: unless settled or extended within it, a task waits again, and its claim is
                void. None: it is held until it is settled.
            owner: who alone may settle it. With a lease and no owner, this handle is the owner;
                with neither, anybody may settle it.
            wait_s: if there is none to claim, wait for one so long.

        Raises:
            BadTask: a number can't be meant.
        """
        n_items = min(admitted_count(n_items, "n_items", 0), MOST)
        if lease_s is not None:
            lease_s = admitted_number(lease_s, "lease_s", 0.001, LONGEST_DELAY_S)
            owner = self.identity if owner is None else owner
        if owner is not None:
            owner = admitted_owner(owner)
        wait_s = admitted_number(wait_s, "wait_s", 0, LONGEST_DELAY_S)
        return self._claim(n_items, lease_s, owner, wait_s) if n_items else []

    def peek(self, n_items: int = 1) -> list[tuple[str, Json]]:
        """What `get` would claim next, moving nothing."""
        n_items = min(admitted_count(n_items, "n_items", 0), MOST)
        return self._peek(n_items) if n_items else []

    def success(
        self, queue_item_id: str | Claim, *, result: Json = None, owner: str | None = None
    ) -> None:
        """Move a task from PROCESSING to SUCCESS.

        Args:
            queue_item_id: its id, or, safer, its claim: a later claim of it is told apart.
            result: kept with the task, JSON.
            owner: who claimed it, if that was not this handle.

        Raises:
            UnknownTask, WrongStage, ClaimLost: it can't be moved; it is as it was.
        """
        _raise_first(self.settle([Success(queue_item_id, result, owner)]))

    def fail(
        self, queue_item_id: str | Claim, *, reason: str = "", owner: str | None = None
    ) -> None:
        """End an attempt: from PROCESSING to FAIL, or back to WAITING while attempts are left.

        Raises:
            UnknownTask, WrongStage, ClaimLost: it can't be moved; it is as it was.
        """
        _raise_first(self.settle([Fail(queue_item_id, reason, owner)]))

    def settle(self, outcomes: Iterable[Success | Fail]) -> dict[str, TaskError]:
        """Settle many tasks at once, each by itself.

        Returns:
            Why some could not be moved, by id; empty if all were.

        Raises:
            BadTask: a task is in it twice, or a result is no JSON; nothing has been settled.
        """
        settlings = []
        for outcome in admitted_many(outcomes, "Outcomes"):
            if not isinstance(outcome, Success | Fail):
                raise BadTask(
                    f"{outcome!r:.80} is no outcome.", remedy="Give Success(…) or Fail(…)."
                )
            hold = self._hold(outcome.task, outcome.owner)
            if isinstance(outcome, Success):
                none = outcome.result is None
                text = None if none else admitted_json(outcome.result, f"The result of {hold.id!r}")
                settlings.append(Settling(hold, succeeded=True, result=text))
            else:
                settlings.append(
                    Settling(hold, succeeded=False, reason=admitted_reason(outcome.reason))
                )
        _each_once([settling.hold for settling in settlings])
        return self._settle(settlings) if settlings else {}

    def extend(
        self,
        tasks: str | Claim | Iterable[str | Claim],
        lease_s: float,
        *,
        owner: str | None = None,
    ) -> None:
        """Let the lease of one task, or of many, end so long from now.

        Raises:
            UnknownTask, WrongStage, ClaimLost: one could not be extended; the others were.
        """
        lease_s = admitted_number(lease_s, "lease_s", 0.001, LONGEST_DELAY_S)
        holds = self._holds(tasks, owner)
        _raise_first(self._extend(holds, lease_s) if holds else {})

    def release(
        self,
        tasks: str | Claim | Iterable[str | Claim],
        *,
        delay_s: float = 0.0,
        owner: str | None = None,
    ) -> None:
        """Hand tasks back unworked, from PROCESSING to WAITING: the attempt does not count.

        Raises:
            UnknownTask, WrongStage, ClaimLost: one could not be moved; the others were.
        """
        delay_s = admitted_number(delay_s, "delay_s", 0, LONGEST_DELAY_S)
        holds = self._holds(tasks, owner)
        _raise_first(self._release(holds, delay_s) if holds else {})

    def refuse(self, queue_item_id: str, *, reason: str) -> None:
        """Move a task that can never be worked on from WAITING to FAIL, unclaimed.

        Raises:
            UnknownTask, WrongStage: it can't be moved; it is as it was.
        """
        hold = Hold(admitted_id(queue_item_id), None, None)
        _raise_first(self._refuse(hold, admitted_reason(reason)))

    def requeue(self, item_ids: str | Iterable[str]) -> list[str]:
        """Move tasks from FAIL to WAITING, their attempts counted anew; skip others with a warning.

        Returns:
            The ids that were moved.
        """
        moved, skipped = self.requeue_quietly(item_ids)
        for id_ in skipped:
            warnings.warn(NOT_FAILED.format(id_), stacklevel=2)
        return moved

    def requeue_quietly(self, item_ids: str | Iterable[str]) -> tuple[list[str], list[str]]:
        """As `requeue`, without the warnings: for a program that reads the answer.

        Returns:
            The ids that were moved, and those that were skipped.
        """
        given = [item_ids] if isinstance(item_ids, str) else admitted_many(item_ids, "Ids")
        ids = list(dict.fromkeys(map(admitted_id, given)))
        moved = self._requeue(ids) if ids else []
        moved_ids = set(moved)
        return moved, [id_ for id_ in ids if id_ not in moved_ids]

    def purge(self, older_than: timedelta) -> int:
        """Delete what was settled (SUCCESS, FAIL) longer ago than this; say how many."""
        if not isinstance(older_than, timedelta) or older_than < timedelta():
            raise BadTask(
                f"older_than must be a timedelta, 0 or more (not {older_than!r:.80}).",
                remedy="Such as timedelta(days=7).",
            )
        return self._purge(min(older_than, LONGEST_AGE))

    # --- Looking ------------------------------------------------------------------------------

    def size(self, queue_item_stage: Stage) -> int:
        """How many tasks are in a stage."""
        return self._size(admitted_stage(queue_item_stage))

    def sizes(self) -> dict[str, int]:
        """How many tasks are in each stage, by its name."""
        return {stage.name: n for stage, n in self._sizes().items()}

    def lookup_task(self, queue_item_id: str) -> Task:
        """All that is known of a task.

        Raises:
            UnknownTask: no task has the id.
        """
        id_ = admitted_id(queue_item_id)
        if (task := self._find(id_)) is None:
            raise UnknownTask(f"No task has the id {id_!r:.80}.", remedy="Look for a slip in it.")
        return task

    def lookup_status(self, queue_item_id: str) -> Stage:
        """The stage in which a task is. Raises UnknownTask, which is a KeyError."""
        return self.lookup_task(queue_item_id).stage

    def lookup_item(self, queue_item_id: str) -> dict[str, Json]:
        """`item_id`, `status` and `item_body` of a task. Raises UnknownTask, a KeyError."""
        task = self.lookup_task(queue_item_id)
        return {"item_id": task.id, "status": task.stage, "item_body": task.body}

    def lookup_state(
        self, queue_item_stage: Stage, *, limit: int | None = None, after: str | None = None
    ) -> Page:
        """The ids of the tasks in a stage, all or a page of them.

        Args:
            limit: at most so many; the page's `next` is where the following one begins.
            after: the `next` of the page before.
        """
        stage = admitted_stage(queue_item_stage)
        if limit is not None:
            limit = min(admitted_count(limit, "limit", 1), MOST)
        if not isinstance(after, str | None):
            raise BadTask(
                f"after must be the next of a page, not {after!r:.80}.",
                remedy="Leave it out for the first page.",
            )
        return self._page(stage, limit, after)

    @abstractmethod
    def description(self) -> dict[str, Json]:
        """What kind of queue this is: `implementation`, and where; no secrets."""

    def recover(self) -> int:
        """Tell the recorder of moves that were made but not told, for whoever made them died.

        Returns:
            How many. 0 where a move and its telling are one step.
        """
        return 0

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of connections; a closed queue is not used again."""

    def __enter__(self) -> Self:
        """The queue, closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    # --- What a store does --------------------------------------------------------------------
    # Everything is admitted. Refusals are `tasks.refusal`'s, by id. Each moves what it moves
    # all or not at all, makes leases that have run out and delays that have passed count, and
    # tells `self.recorder` of each move. No id comes twice in one call. A `Page` is in an order
    # that no move changes (such as that of the puts); its `next` is any text that the store
    # can go on from, also when the last task of the page is gone, and BadTask meets others.

    @abstractmethod
    def _put(self, tasks: Sequence[NewTask]) -> Put: ...

    @abstractmethod
    def _get(self, n: int, lease_s: float | None, owner: str | None) -> list[Claim]: ...

    @abstractmethod
    def _peek(self, n: int) -> list[tuple[str, Json]]: ...

    @abstractmethod
    def _settle(self, settlings: Sequence[Settling]) -> dict[str, TaskError]: ...

    @abstractmethod
    def _extend(self, holds: Sequence[Hold], lease_s: float) -> dict[str, TaskError]: ...

    @abstractmethod
    def _release(self, holds: Sequence[Hold], delay_s: float) -> dict[str, TaskError]: ...

    @abstractmethod
    def _refuse(self, hold: Hold, reason: str) -> dict[str, TaskError]: ...

    @abstractmethod
    def _requeue(self, ids: Sequence[str]) -> list[str]: ...

    @abstractmethod
    def _purge(self, older_than: timedelta) -> int: ...

    @abstractmethod
    def _sizes(self) -> dict[Stage, int]: ...

    @abstractmethod
    def _find(self, id_: str) -> Task | None: ...

    @abstractmethod
    def _page(self, stage: Stage, limit: int | None, after: str | None) -> Page: ...

    @abstractmethod
    def _wait(self, timeout_s: float) -> None:
        """Return when there may be something to claim, at the latest after so long."""

    def _size(self, stage: Stage) -> int:
        """One of the sizes. A store that needs not count all for it does it better."""
        return self._sizes()[stage]

    # --- Helpers ------------------------------------------------------------------------------

    def _claim(
        self, n: int, lease_s: float | None, owner: str | None, wait_s: float
    ) -> list[Claim]:
        """Claim, and wait for something to claim. A store that can wait itself does it better."""
        deadline = time.monotonic() + wait_s
        while True:
            claims = self._get(n, lease_s, owner)
            if claims or (left_s := deadline - time.monotonic()) <= 0:
                return claims
            self._wait(min(left_s, LOOK_S))

    def _hold(self, task: str | Claim, owner: str | None) -> Hold:
        owner = None if owner is None else admitted_owner(owner)
        if isinstance(task, Claim):
            return Hold(admitted_id(task.id), owner or task.owner, task.move)
        return Hold(admitted_id(task), owner or self.identity, None)

    def _holds(self, tasks: str | Claim | Iterable[str | Claim], owner: str | None) -> list[Hold]:
        if isinstance(tasks, str | Claim):  # a claim is a pair, and so iterable: it is one task
            tasks = [tasks]
        given = admitted_many(tasks, "Tasks")
        return _each_once([self._hold(task, owner) for task in given])


def _each_once(holds: list[Hold]) -> list[Hold]:
    seen: set[str] = set()
    for hold in holds:
        if hold.id in seen:
            raise BadTask(
                f"The task {hold.id!r:.80} is given twice.", remedy="Name each task once."
            )
        seen.add(hold.id)
    return holds


def admitted_owner(owner: object) -> str:
    """The owner's name, if it can be one: text of 1 to 512 characters, no NUL among them.

    Raises:
        BadTask: it can't.
    """
    return admitted_name(owner, "An owner")


def _raise_first(refused: Mapping[str, TaskError]) -> None:
    for error in refused.values():
        raise error
