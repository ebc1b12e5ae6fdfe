"""A task queue whose every move becomes an event.

`with_events` hangs a recorder on a queue. The store that makes a move hands it to the recorder
as part of making it: a SQL queue writes the events of a SQL store on the same database in the
transaction of the move itself; others see to it that `recover` can tell what a crash has kept
from being told. An event's data has the move's number and time, so that a task which runs three
times has nine moves, each stored once, however often it is told. `replay` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from labs.errors import BadInput
from labs.task_queue.errors import TaskError
from labs.task_queue.events import Event, EventStore
from labs.task_queue.queue import TaskQueue
from labs.task_queue.stages import Move, Stage
from labs.task_queue.tasks import Claim, Hold, Json, Moved, NewTask, Page, Put, Settling, Task


@dataclass(frozen=True)
class EventRecorder:
    """Turns the moves of one queue into events, and adds them to a store.

    A queue that can add to the store in the transaction of the move asks for `events_of` alone.
    """

    store: EventStore
    add_event_name: str
    move_event_name: str
    queue_info: Json
    """The description of the queue, written into the event of each put."""

    def record(self, moves: Sequence[Moved]) -> None:
        """Add the events of the moves."""
        self.store.add(self.events_of(moves))

    def events_of(self, moves: Sequence[Moved]) -> list[Event]:
        """One event for each move; the same move gives the same event, whoever asks."""
        return [self._event_of(moved) for moved in moves]

    def _event_of(self, moved: Moved) -> Event:
        data: dict[str, Json] = {
            "queue_index_key": moved.id,
            "move_number": moved.number,
            "at": moved.at.isoformat(),
        }
        if moved.move is Move.PUT:
            data["queue_item_data"] = json.loads(moved.text or "null")
            data["queue_info"] = self.queue_info
            return Event(self.add_event_name, data=data, time=moved.at)
        assert moved.stage_from is not None, "only a put comes from outside"
        data["stage_from"] = int(moved.stage_from)
        data["stage_to"] = None if moved.stage_to is None else int(moved.stage_to)
        data["move"] = str(moved.move)
        data["owner"] = moved.owner
        return Event(self.move_event_name, data=data, time=moved.at)


class EventQueue(TaskQueue):
    """A queue and its events: all verbs are the queue's own."""

    def __init__(
        self,
        queue: TaskQueue,
        event_store: EventStore,
        event_base_name: str | None = None,
        add_event_name: str | None = None,
        move_event_name: str | None = None,
    ) -> None:
        """Hang the events on the queue.

        Args:
            event_base_name: the events are called `<base>_ADD` and `<base>_MOVE`;
            add_event_name, move_event_name: or by these names.

        Raises:
            BadInput: no names are given, or the queue can't tell of its moves.
        """
        super().__init__()
        if event_base_name:
            add_event_name = f"{event_base_name}_ADD"
            move_event_name = f"{event_base_name}_MOVE"
        if not add_event_name or not move_event_name or add_event_name == move_event_name:
            raise BadInput(
                "The events of a queue need a base name, or one name for each of the two kinds.",
                remedy='Such as event_base_name="orders".',
            )
        if queue.recorder is not None or not queue.tells_moves:
            raise BadInput(
                "This queue has events already."
                if queue.tells_moves
                else "This queue is a service's: what moves there is not told here.",
                remedy="Hang events on the queue that keeps the tasks, once.",
            )
        self.queue = queue
        self.event_store = event_store
        self.event_base_name = event_base_name
        self.add_event_name, self.move_event_name = add_event_name, move_event_name
        queue.recorder = self.recorder = EventRecorder(
            event_store, add_event_name, move_event_name, queue.description()
        )

    def events(self) -> list[Event]:
        """All that has happened, the oldest first."""
        moved = self.event_store.get(self.move_event_name)
        added = self.event_store.get(self.add_event_name)  # second: no move without its put
        return sorted(added + moved, key=lambda event: event.time)

    def recover(self) -> int:
        """Tell of moves whose events a crash has kept from being stored; see `TaskQueue`."""
        return self.queue.recover()

    def description(self) -> dict[str, Json]:
        """The queue's own description, and the names of the events."""
        return {
            "implementation": "event",
            "event_base_name": self.event_base_name,
            "add_event_name": self.add_event_name,
            "move_event_name": self.move_event_name,
            "base_queue_description": self.queue.description(),
        }

    def close(self) -> None:
        """Close the queue; the store of events is somebody else's."""
        self.queue.close()

    # --- All else is the queue's --------------------------------------------------------------

    def _put(self, tasks: Sequence[NewTask]) -> Put:
        return self.queue._put(tasks)

    def _get(self, n: int, lease_s: float | None, owner: str | None) -> list[Claim]:
        return self.queue._get(n, lease_s, owner)

    def _claim(
        self, n: int, lease_s: float | None, owner: str | None, wait_s: float
    ) -> list[Claim]:
        return self.queue._claim(n, lease_s, owner, wait_s)

    def _peek(self, n: int) -> list[tuple[str, Json]]:
        return self.queue._peek(n)

    def _settle(self, settlings: Sequence[Settling]) -> dict[str, TaskError]:
        return self.queue._settle(settlings)

    def _extend(self, holds: Sequence[Hold], lease_s: float) -> dict[str, TaskError]:
        return self.queue._extend(holds, lease_s)

    def _release(self, holds: Sequence[Hold], delay_s: float) -> dict[str, TaskError]:
        return self.queue._release(holds, delay_s)

    def _refuse(self, hold: Hold, reason: str) -> dict[str, TaskError]:
        return self.queue._refuse(hold, reason)

    def _requeue(self, ids: Sequence[str]) -> list[str]:
        return self.queue._requeue(ids)

    def _purge(self, older_than: timedelta) -> int:
        return self.queue._purge(older_than)

    def _sizes(self) -> dict[Stage, int]:
        return self.queue._sizes()

    def _size(self, stage: Stage) -> int:
        return self.queue._size(stage)

    def _find(self, id_: str) -> Task | None:
        return self.queue._find(id_)

    def _page(self, stage: Stage, limit: int | None, after: str | None) -> Page:
        return self.queue._page(stage, limit, after)

    def _wait(self, timeout_s: float) -> None:
        self.queue._wait(timeout_s)


def with_events(
    queue: TaskQueue,
    event_store: EventStore,
    event_base_name: str | None = None,
    add_event_name: str | None = None,
    move_event_name: str | None = None,
) -> EventQueue:
    """The queue, with every move an event in the store; see `EventQueue`."""
    return EventQueue(queue, event_store, event_base_name, add_event_name, move_event_name)
