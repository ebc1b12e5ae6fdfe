"""What the S3 queue writes: the object that is a task, and the marker that says where it is.

Pure. A task's object is a line of JSON with all that is known of it, and its body, as it came.
A marker is an empty object, whose key alone speaks: the stage as a prefix, then what it is
listed by. An id becomes a name without slashes or dots, so that no id can lead out of its folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from labs.task_queue.s3_bucket import Entry
from labs.task_queue.stages import MOVES, Move, Stage
from labs.task_queue.tasks import PRIORITIES, Claim, Moved, Standing, Task

LONGEST_NAME = 160
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = "f" * 16
"""The time of a lease without an end: after all others."""


class Home(StrEnum):
    """The prefixes of the markers."""

    WAITING = "waiting"
    """Can be claimed, in the order of the line."""
    DELAYED = "delayed"
    """Waits for its time, in the order of the times."""
    PROCESSING = "processing"
    """In the order in which the leases end."""
    SUCCESS = "success"
    FAIL = "fail"
    NEW = "new"
    """Put, and the recorder perhaps not told of it: beside the marker of its stage."""
    GONE = "gone"
    """Being purged."""


BY_TIME = frozenset({Home.DELAYED, Home.PROCESSING})
HOMES = {
    Stage.WAITING: (Home.WAITING, Home.DELAYED),
    Stage.PROCESSING: (Home.PROCESSING,),
    Stage.SUCCESS: (Home.SUCCESS,),
    Stage.FAIL: (Home.FAIL,),
}
STAGE_OF = {home: stage for stage, homes in HOMES.items() for home in homes}


@dataclass(frozen=True, slots=True)
class Marker:
    """That a task is in a stage since it was written for the `revision`-th time."""

    home: Home
    place: str
    """In the line: the priority, then when it was put."""
    time: str
    """When it is due, when its lease ends, or when it was settled; as `ticks` writes it."""
    revision: int
    nonce: str
    name: str

    @property
    def key(self) -> str:
        """Its key below the queue's base."""
        first, second = self.place, self.time
        if self.home in BY_TIME:
            first, second = second, first
        return f"{self.home}/{first}.{second}.{self.revision:x}.{self.nonce}.{self.name}"

    @classmethod
    def read(cls, key: str) -> Marker | None:
        """The marker with this key; None: it is not ours."""
        home, _, rest = key.partition("/")
        parts = rest.split(".")
        try:
            first, second, revision, nonce, name = parts
            kind = Home(home)
            if kind in BY_TIME:
                first, second = second, first
            return cls(kind, first, second, int(revision, 16), nonce, name)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Seen:
    """A marker in a listing."""

    marker: Marker
    modified: datetime

    @classmethod
    def read(cls, entry: Entry, base: str) -> Seen | None:
        """The marker in this line of a listing; None: it is not ours."""
        marker = Marker.read(entry.key.removeprefix(base))
        return cls(marker, entry.modified) if marker else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A task as it is kept. Its stage is None once it is purged."""

    id: str
    place: str
    priority: int
    max_attempts: int | None
    backoff_s: float
    put_at: datetime
    due: datetime
    text: str = ""
    home: Home = Home.WAITING
    revision: int = 1
    nonce: str
    moves: int = 1
    attempts: int = 0
    owner: str | None = None
    lease_ends: datetime | None = None
    claimed_at: datetime | None = None
    settled_at: datetime | None = None
    result: str | None = None
    reason: str = ""
    untold: tuple[Moved, ...] = ()
    """Moves of which the recorder has perhaps not been told."""

    @property
    def name(self) -> str:
        """What stands for its id in keys."""
        return name_of(self.id)

    @property
    def stage(self) -> Stage | None:
        """None: it is purged."""
        return STAGE_OF.get(self.home)

    @property
    def marker(self) -> Marker:
        """What says where it is."""
        times = {Stage.WAITING: self.due, Stage.PROCESSING: self.lease_ends}
        time = times.get(self.stage, self.settled_at) if self.stage is not None else self.due
        text = NEVER if time is None else ticks(time)
        return Marker(self.home, self.place, text, self.revision, self.nonce, self.name)

    @property
    def markers(self) -> list[Marker]:
        """All that may say where it is: a delay that has passed has made one of two."""
        twin = [self.at_home(Home.WAITING)] if self.home is Home.DELAYED else []
        return [self.marker, *twin]

    def at_home(self, home: Home) -> Marker:
        """The marker by which it is found elsewhere too."""
        return replace(self.marker, home=home)

    @property
    def standing(self) -> Standing | None:
        """What decides who may move it; None: it is purged."""
        if self.stage is None:
            return None
        return Standing(self.stage, self.owner, self.moves, self.lease_ends)

    def is_at(self, marker: Marker) -> bool:
        """Whether the marker speaks of the task as it is."""
        mine = (self.place, self.revision, self.nonce)
        return mine == (marker.place, marker.revision, marker.nonce)

    def may_come_to(self, marker: Marker) -> bool:
        """Whether the marker may be of a move that is being made at this moment."""
        return self.place == marker.place and self.revision < marker.revision

    def is_run_out(self, now: datetime) -> bool:
        """Whether it is held by a lease that has ended."""
        held = self.stage is Stage.PROCESSING and self.lease_ends is not None
        return held and self.lease_ends is not None and self.lease_ends <= now

    def moved(self, move: Move, nonce: str, now: datetime, sets: dict[str, Any]) -> Kept:
        """The task after a move."""
        after = self.rewritten(nonce, {**sets, "home": home_after(move, sets, now)})
        return replace(after, moves=self.moves + 1)

    def tale(self, before: Kept | None, move: Move, now: datetime) -> Moved:
        """The move that has made it so, as the recorder is told it."""
        return Moved(
            id=self.id,
            number=self.moves,
            move=move,
            stage_from=before.stage if before else None,
            stage_to=MOVES[move].target,
            at=now,
            owner=self.owner,
            text=self.text if move is Move.PUT else None,
        )

    def rewritten(self, nonce: str, sets: dict[str, Any]) -> Kept:
        """The task, written once more."""
        return replace(self, revision=self.revision + 1, nonce=nonce, **sets)

    def shown(self) -> Task:
        """As the door shows it."""
        assert self.stage is not None, "it is in the queue"
        same = {one.name for one in fields(Task)} & {one.name for one in fields(self)}
        return Task(
            **{name: getattr(self, name) for name in same - {"result"}},
            stage=self.stage,
            body=json.loads(self.text),
            result=None if self.result is None else json.loads(self.result),
        )

    def claim(self) -> Claim:
        """As its owner gets it."""
        return Claim(
            self.id,
            json.loads(self.text),
            owner=self.owner,
            attempt=self.attempts,
            move=self.moves,
            lease_ends=self.lease_ends,
        )

    def written(self) -> bytes:
        """As an object."""
        head = {one.name: _plain(getattr(self, one.name)) for one in fields(self)}
        del head["text"]
        return json.dumps(head, separators=(",", ":")).encode() + b"\n" + self.text.encode()

    @classmethod
    def read(cls, body: bytes) -> Kept:
        """The task that an object is."""
        head, _, text = body.partition(b"\n")
        values = json.loads(head)
        values["text"] = text.decode()
        values["home"] = Home(values["home"])
        for name in ("put_at", "due", "lease_ends", "claimed_at", "settled_at"):
            if values[name] is not None:
                values[name] = datetime.fromisoformat(values[name])
        values["untold"] = tuple(
            _moved(values["id"], values["text"], *parts) for parts in values["untold"]
        )
        return cls(**values)


def home_after(move: Move, sets: dict[str, Any], now: datetime) -> Home:
    """Where a task is after a move."""
    target = MOVES[move].target
    if target is None:
        return Home.GONE
    if target is Stage.WAITING and sets.get("due", now) > now:
        return Home.DELAYED
    return HOMES[target][0]


def name_of(id_: str) -> str:
    """The id percent-encoded; its digest where that would be too long for a key."""
    name = quote(id_, safe="").replace(".", "%2E")
    if len(name) <= LONGEST_NAME:
        return name
    return f"={hashlib.sha256(id_.encode()).hexdigest()}"  # quote writes no `=`


def ticks(time: datetime) -> str:
    """A time as text that sorts: microseconds, in hex."""
    return f"{(time - EPOCH) // timedelta(microseconds=1):016x}"


def place_of(priority: int, stamp_ns: int, nonce: str) -> str:
    """A place in the line: higher priorities first, then older puts."""
    return f"{PRIORITIES[-1] - priority:04x}{stamp_ns:016x}{nonce}"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [
            (one.number, one.move, one.stage_from, one.stage_to, one.at.isoformat(), one.owner)
            for one in value
        ]
    return value


def _moved(id_: str, text: str, *parts: Any) -> Moved:
    number, move, stage_from, stage_to, at, owner = parts
    return Moved(
        id=id_,
        number=number,
        move=Move(move),
        stage_from=None if stage_from is None else Stage(stage_from),
        stage_to=None if stage_to is None else Stage(stage_to),
        at=datetime.fromisoformat(at),
        owner=owner,
        text=text if move == Move.PUT else None,
    )


def markers_in(entries: Sequence[Entry], base: str) -> list[Seen]:
    """The markers in a listing."""
    return [seen for entry in entries if (seen := Seen.read(entry, base))]
