"""Events: what has happened, written down once, in the order in which it happened.

An event has a name, a version and data (JSON). A store of events is only ever added to, and
adding the same name and data again changes nothing: so whoever does not know whether an event
was stored adds it again. `EventStore` is the door and the protocol; `MemoryEventStore` is one in
memory, `sql_events` has one in a database.
"""

from __future__ import annotations

import hashlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from labs.task_queue.errors import BadTask
from labs.task_queue.tasks import DEEPEST, Json, admitted_json, admitted_name

VERSION = "0.0.1"
"""Of the data in a queue's events, as known."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened.

    Raises:
        BadTask: the name is no text of 1 to 512 characters, or the data is no JSON.
    """

    name: str
    version: str = VERSION
    data: Json = None
    id: int | None = None
    """Its number in the store it comes from; None before it is stored."""
    event_metadata: Mapping[str, Json] = field(default_factory=dict)
    """Kept with it; no part of what makes two events the same."""
    time: datetime = field(default_factory=_now)
    """When it happened; a time without a zone is taken for local time."""

    def __post_init__(self) -> None:
        """Check it, and take copies: nobody changes an event by changing what it was made of."""
        set_ = object.__setattr__  # the one way into a frozen dataclass
        set_(self, "name", admitted_name(self.name, "An event's name"))
        set_(self, "version", str(self.version))
        data = admitted_json(self.data, f"The data of {self.name!r}", deepest=DEEPEST + 10)
        set_(self, "data", json.loads(data))
        metadata = admitted_json(dict(self.event_metadata), f"The metadata of {self.name!r}")
        set_(self, "event_metadata", json.loads(metadata))
        set_(self, "time", self.time.astimezone(UTC))

    @property
    def key(self) -> str:
        """The same for the same name and data, and for no others: a digest, 64 characters."""
        text = json.dumps([self.name, self.data], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class EventStore(ABC):
    """Events that are kept."""

    def add(self, events: Event | Iterable[Event]) -> None:
        """Keep one event, or many, all or none; those that are there already stay as they are.

        Raises:
            BadTask: one is no Event.
            StoreUnreachable: add them again; none is then kept twice.
        """
        listed = [events] if isinstance(events, Event) else list(events)
        for event in listed:
            if not isinstance(event, Event):
                raise BadTask(
                    f"{event!r:.80} is no Event.", remedy='Such as Event("name", data={"n": 1}).'
                )
        if listed:
            self._add(listed)

    def get(self, event_name: str, time_since: datetime | None = None) -> list[Event]:
        """The events of this name, the oldest first.

        Args:
            time_since: only those that happened later than this, not at this time. Who asks
                again from the time of the last one misses none, where moves and events are one
                step (memory, one database). Where a move is told after it was made (S3, another
                database), begin some time earlier: an event is known by its id.
        """
        name = admitted_name(event_name, "An event's name")
        return self._get(name, None if time_since is None else time_since.astimezone(UTC))

    def close(self) -> None:  # noqa: B027 - one in memory has nothing to let go of
        """Let go of connections; a closed store is not used again."""

    # --- What a store does: everything is admitted --------------------------------------------

    @abstractmethod
    def _add(self, events: Sequence[Event]) -> None: ...

    @abstractmethod
    def _get(self, name: str, since: datetime | None) -> list[Event]:
        """By time, then in the order in which they were added, each with its number as id."""


class MemoryEventStore(EventStore):
    """Events in memory, gone with the process; any number of threads may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, list[Event]] = {}
        self._keys: set[str] = set()

    def _add(self, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                if (key := event.key) not in self._keys:
                    self._keys.add(key)
                    numbered = replace(event, id=len(self._keys))
                    self._events.setdefault(event.name, []).append(numbered)

    def _get(self, name: str, since: datetime | None) -> list[Event]:
        with self._lock:
            events = list(self._events.get(name, ()))
        found = [event for event in events if since is None or event.time > since]
        return [replace(event) for event in sorted(found, key=lambda event: event.time)]  # copies
