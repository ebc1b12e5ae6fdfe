"""A topic's partitions at one moment, from what was queued and what replicas told, for a picture.

`Board` notes where each request stands (the log says so when it takes one), and asks how
far the group has come. What became of the records it hears from the events: of a request
queue in this kernel (its observer's values), or of replicas that are processes of their
own. Nothing here knows a log: `depth` is whatever tells a topic's offsets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from labs.notebook.events import Event, WorkerEvent
from labs.notebook.worker import Worker
from labs.notebook.workers import Workers
from labs.pictures.partitions import Cell, Lane, Moment, State


class Depth(Protocol):
    """How one partition stands: its first offset, the committed one, and the next."""

    @property
    def partition(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def committed(self) -> int: ...
    @property
    def end(self) -> int: ...


class Observed(Protocol):
    """Something that became of the record at an offset, at a replica's hands."""

    @property
    def what(self) -> str: ...
    @property
    def replica(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def request_id(self) -> str | None: ...


@dataclass(frozen=True)
class Told:
    """What a replica told that is a process of its own."""

    what: str
    replica: str
    partition: int
    offset: int
    request_id: str | None


BECOMES = {
    "taken": State.IN_WORK,
    "done": State.DONE,
    "put back": State.PUT_BACK,
    "moved": State.PUT_BACK,
    "answered": State.FAILED,
    "failed": State.FAILED,
    "returned": State.WAITING,
    "lost": State.WAITING,
}
"""What happened -> the state in which the record is then; what else happens changes none."""
WORDS = {Event.RECEIVED: "taken", Event.DONE: "done"}


class Board:
    """Where the requests of one topic stand, and what became of them."""

    def __init__(self, depth: Callable[[], Sequence[Depth]]) -> None:
        self._depth = depth
        self._labels: dict[tuple[int, int], str] = {}

    def note(self, partition: int, offset: int, label: str) -> None:
        """What stands at this place."""
        self._labels[partition, offset] = label

    def moment(
        self, title: str, *events: Workers | Worker | Iterable[Observed], shows: bool = True
    ) -> Moment:
        """How all stands now. `shows`: whether the committed offsets are of interest."""
        heard = [one for several in events for one in _heard(several)]
        lanes = [self._lane(depth, heard, flag=shows) for depth in self._depth()]
        return Moment(title, tuple(lanes))

    def _lane(self, depth: Depth, heard: Sequence[Observed], *, flag: bool) -> Lane:
        own = [one for one in heard if one.partition == depth.partition]
        cells = {
            offset: Cell(self._labels.get((depth.partition, offset), ""), offset=offset)
            for offset in range(depth.first, depth.end)
        }
        owner, done = "", Counter[int]()
        for one in own:
            cell = cells.get(one.offset)
            if cell is None or one.what not in BECOMES:
                continue
            state, owner = BECOMES[one.what], one.replica
            done[one.offset] += state is State.DONE
            cells[one.offset] = replace(
                cell,
                label=cell.label or one.request_id or "?",
                state=state,
                by=one.replica if state in (State.IN_WORK, State.DONE) else "",
                times=max(done[one.offset], 1),
            )
        committed = depth.committed if flag else None
        return Lane(f"partition {depth.partition}", tuple(cells.values()), owner, committed)


def _heard(events: Workers | Worker | Iterable[Observed]) -> list[Observed]:
    if isinstance(events, Workers | Worker):
        return [told for event in events.events if (told := _told(event)) is not None]
    return list(events)


def _told(event: WorkerEvent) -> Told | None:
    if event.event not in WORDS or "offset" not in event.details:
        return None
    partition, offset = int(event.details["partition"]), int(event.details["offset"])
    return Told(WORDS[event.event], event.worker, partition, offset, event.body)
