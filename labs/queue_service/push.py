"""Messages of one build cluster as tasks, so that the task queue's workers can run them.

`MessageTasks` is a task queue over the service's operations: `get` is a claim, `success` an ack,
`fail` a nack. So `WorkQueue` and its workers know nothing of builds, and yet what is blocked,
frozen or collapsed is never pushed, and a build that was stopped is not acknowledged as done.
Behind it is a service in this process or one far away, for both answer `call` (`Door`). Messages
are enqueued by a start alone; what only a store can do is refused by a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn, Protocol, TypeVar

from labs.queue_service.errors import Overloaded, UnknownMessage
from labs.queue_service.messages import Message, State
from labs.queue_service.operations import (
    Ack,
    Claim,
    Extend,
    Find,
    GetStats,
    Held,
    ListMessages,
    Nack,
    Operation,
    Replay,
)
from labs.task_queue.errors import BadTask, StoreUnreachable, TaskError, UnknownTask
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim as TaskClaim
from labs.task_queue.tasks import Hold, Json, NewTask, Page, Put, Settling, Task

A = TypeVar("A")
Verb = Callable[[Held], Operation[Any]]

AT_ONCE = 100
"""Messages of a page."""
SET_ASIDE = "It could not be handed over."
STAGES: Mapping[State, Stage] = {
    State.QUEUED: Stage.WAITING,
    State.BLOCKED: Stage.WAITING,
    State.FROZEN: Stage.WAITING,
    State.RUNNING: Stage.PROCESSING,
    State.DONE: Stage.SUCCESS,
    State.FAILED: Stage.FAIL,
    State.COLLAPSED: Stage.FAIL,
    State.STOPPED: Stage.FAIL,
}
"""What a message's state is to a worker: FAIL is all that has ended and is not done."""


class Door(Protocol):
    """A queue service: `QueueService` itself, or its client."""

    def call(self, operation: Operation[A], /) -> A:
        """Have an operation done."""


class MessageTasks(TaskQueue):
    """The messages of a build cluster, as tasks.

    Args:
        door: the service.
        cluster: whose messages; `""`: of no cluster.
        wait_s: a `get` that finds nothing waits so long for something, so that a dispatcher
            needs not ask again and again.
    """

    tells_moves = False

    def __init__(self, door: Door, cluster: str = "", *, wait_s: float = 0.0) -> None:
        super().__init__()
        self._door, self._cluster, self._wait_s = door, cluster, wait_s

    def __repr__(self) -> str:
        """Whose messages."""
        return f"MessageTasks({self._door!r}, {self._cluster!r})"

    def description(self) -> dict[str, Json]:
        """What kind of queue this is."""
        return {
            "implementation": "queue-service",
            "arguments": {"cluster": self._cluster, "service": repr(self._door)},
        }

    # --- The verbs ----------------------------------------------------------------------------

    def _claim(
        self, n: int, lease_s: float | None, owner: str | None, wait_s: float
    ) -> list[TaskClaim]:
        if lease_s is None or owner is None:
            raise BadTask(
                "A claim of the queue service has a lease: who dies would hold a job for ever.",
                remedy="Such as get(1, lease_s=60).",
            )
        claim = Claim(
            owner=owner,
            n=n,
            lease_s=lease_s,
            cluster=self._cluster,
            wait_s=max(wait_s, self._wait_s),
        )
        return [
            TaskClaim(
                one.id,
                dict(one.body),
                owner=one.owner,
                attempt=one.attempt,
                move=one.move,
                lease_ends=one.lease_ends,
            )
            for one in self._call(claim)
        ]

    def _get(self, n: int, lease_s: float | None, owner: str | None) -> list[TaskClaim]:
        return self._claim(n, lease_s, owner, 0.0)

    def _settle(self, settlings: Sequence[Settling]) -> dict[str, TaskError]:
        found = {one.hold.id: self._refusal(one.hold, _settlement(one)) for one in settlings}
        return {id_: error for id_, error in found.items() if error}

    def _extend(self, holds: Sequence[Hold], lease_s: float) -> dict[str, TaskError]:
        return self._each(holds, lambda held: Extend(held=held, lease_s=lease_s))

    def _release(self, holds: Sequence[Hold], delay_s: float) -> dict[str, TaskError]:
        """At once, and the attempt does not count; or, with a delay, as one that has failed."""
        if delay_s:
            return self._each(holds, lambda held: Nack(held=held, reason=SET_ASIDE))
        return self._each(holds, lambda held: Nack(held=held, requeue=True))

    def _requeue(self, ids: Sequence[str]) -> list[str]:
        return list(self._call(Replay(ids=tuple(ids))))

    # --- Looking ------------------------------------------------------------------------------

    def _find(self, id_: str) -> Task | None:
        try:
            return _task_of(self._call(Find(id=id_)).message)
        except UnknownMessage:
            return None

    def _page(self, stage: Stage, limit: int | None, after: str | None) -> Page:
        if stage is not Stage.PROCESSING:
            self._not_here("listed by this stage")
        ids: list[str] = []
        while True:
            wanted = AT_ONCE if limit is None else min(limit - len(ids), AT_ONCE)
            page = self._call(
                ListMessages(state=State.RUNNING, cluster=self._cluster, limit=wanted, after=after)
            )
            ids += [message.id for message in page.messages]
            after = page.next
            if after is None or len(ids) == limit:
                return Page(ids, after)

    def _sizes(self) -> dict[Stage, int]:
        """Of all clusters: nothing is counted for each of them."""
        sizes = dict.fromkeys(Stage, 0)
        for state, n in self._call(GetStats()).counts.items():
            sizes[STAGES[state]] += n
        return sizes

    # --- What only a store can do -------------------------------------------------------------
    # ruff: noqa: ARG002 - they are refused, whatever is given

    def _put(self, tasks: Sequence[NewTask]) -> Put:
        self._not_here("put, but started")

    def _peek(self, n: int) -> list[tuple[str, Json]]:
        self._not_here("looked at before they are claimed")

    def _refuse(self, hold: Hold, reason: str) -> dict[str, TaskError]:
        self._not_here("refused unclaimed")

    def _purge(self, older_than: timedelta) -> int:
        self._not_here("deleted by a worker: the service forgets them by itself")

    def _wait(self, timeout_s: float) -> None:
        """The claim itself waits."""

    def _not_here(self, what: str) -> NoReturn:
        raise BadTask(
            f"Messages of the queue service are not {what}.",
            remedy="Ask the service itself, or its client.",
        )

    # --- Helpers ------------------------------------------------------------------------------

    def _call(self, operation: Operation[A]) -> A:
        try:
            return self._door.call(operation)
        except Overloaded as error:  # to whoever tries again that is the same
            raise StoreUnreachable(str(error), remedy=error.remedy) from error

    def _each(self, holds: Sequence[Hold], operation: Verb) -> dict[str, TaskError]:
        found = {hold.id: self._refusal(hold, operation) for hold in holds}
        return {id_: error for id_, error in found.items() if error}

    def _refusal(self, hold: Hold, operation: Verb) -> TaskError | None:
        """Have it done; why it was not."""
        try:
            self._call(operation(self._held(hold)))
        except TaskError as error:
            return error
        except UnknownMessage as error:
            return UnknownTask(str(error), remedy=error.remedy)
        return None

    def _held(self, hold: Hold) -> Held:
        """Which claim is meant; who has only the id means the one that there is."""
        move = hold.move
        if move is None:
            move = self._call(Find(id=hold.id)).message.move
        return Held(id=hold.id, owner=hold.owner or self.identity, move=move)


def _settlement(one: Settling) -> Verb:
    if one.succeeded:
        result = None if one.result is None else json.loads(one.result)
        return lambda held: Ack(held=held, result=result)
    return lambda held: Nack(held=held, reason=one.reason)


def _task_of(message: Message) -> Task:
    return Task(
        id=message.id,
        stage=STAGES[message.state],
        body=dict(message.body),
        priority=message.priority,
        attempts=message.attempts,
        max_attempts=message.max_attempts,
        backoff_s=0.0,  # the service's own matter
        moves=message.move,
        owner=message.owner,
        lease_ends=message.lease_ends,
        due=message.due,
        put_at=message.enqueued_at,
        claimed_at=message.started_at,
        settled_at=message.ended_at,
        result=message.result,
        reason=message.reason,
    )
