"""The one record of what happened in a run: timed events, appended, and only read afterwards.

The proxy writes what went over the wire, the judge what it did and what a program
printed, all with one clock and one order: the order of appending, `Event.n`. A
journal lives in memory and, where it is given a file, as JSON lines in it, one
event a line, so that a run can be drawn and judged again. The first event of
every journal is `run`; a file may hold several journals, one after the other.

`KINDS` says which kinds of events there are and what their `data` holds. Nothing
secret is ever in it: whoever appends leaves passwords out.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self, TypeVar

from labs.errors import BadInput
from labs.waiting import wait_until

T = TypeVar("T")

KINDS: Mapping[str, str] = {
    "run": "a journal begins; data: exercise, trial, seed, command, and what else was given",
    "connected": "a client's connection was accepted and the broker's side of it is open",
    "disconnected": "a connection is over; data: by (client, broker or proxy), and how",
    "frame": "a frame passed; side says who sent it, name what it is; data: its arguments",
    "fault": "a fault struck; name: which; data: what it did and to what",
    "started": "a copy of the program was started; data: pid, command",
    "line": "a copy printed a line on standard output; data: text",
    "input": "a line was written to a copy's standard input; data: text",
    "signal": "the judge did something to a copy's processes; name: kill, freeze, thaw, terminate",
    "exited": "a copy's process ended; data: status (an exit code; negative: the signal)",
    "published": "the judge published a message; data: body, message_id, wave (on a log: key, "
    "partition, offset; in a table: task; in a file of orders: order, job, bad)",
    "appended": "the judge found a record that the program appended; data: topic, body, key",
    "committed": "how far the judge saw a group come; data: group, partition, offset (the next)",
    "changed": "a row of the task table changed, as its trigger wrote it down; name: claim, "
    "extend, settle, release, delete; data: task, body, at_s, and what was and is in the row",
    "asked": "a request came to the door of the queue service; name: its method; data: request (a "
    "number), path, order, build, key, sum",
    "answered": "what the service said to it; data: request, status, created, replayed, "
    "retry_after_s, heard (whether the program was given the answer), shows (which orders)",
    "queue": "the judge looked at a queue; data: queue, ready, consumers, unacknowledged if known",
    "left": "the judge took a message out of a queue at the end; data: queue, body, message_id, …",
    "note": "something else worth keeping; name: what; data: details",
}


class Event(NamedTuple):
    """One thing that happened. What does not apply to its kind is None or empty.

    A named tuple, since a proxy makes one for every frame.
    """

    n: int
    """Its place in the order of the journal, from 0."""
    at_s: float
    """Seconds since the journal began."""
    kind: str
    """One of KINDS."""
    name: str = ""
    """Which frame (`basic.ack`, `header`, `body`, `heartbeat`), fault or signal."""
    copy: str | None = None
    """Which copy of the program it is about: A, B, …; for `labs proxy`, the proxy's door."""
    connection: int | None = None
    """Which connection, numbered from 1 in the order of connecting, over all copies."""
    channel: int | None = None
    side: str | None = None
    """Who sent the frame: `client` or `broker`."""
    data: Mapping[str, Any] = {}

    def to_json(self) -> str:
        """One line, without its end; what is None or empty is left out."""
        n, at_s, kind, name, copy, connection, channel, side, data = self
        return "".join(
            (
                f'{{"n":{n},"at_s":{at_s!r},"kind":{_quoted(kind)}',
                f',"name":{_quoted(name)}' if name else "",
                f',"copy":{_quoted(copy)}' if copy is not None else "",
                f',"connection":{connection}' if connection is not None else "",
                f',"channel":{channel}' if channel is not None else "",
                f',"side":{_quoted(side)}' if side is not None else "",
                f',"data":{_written(data)}}}' if data else "}",
            )
        )

    @classmethod
    def from_json(cls, line: str) -> Event:
        """The event that `to_json` wrote; ValueError or TypeError when it is none."""
        return cls(**json.loads(line))


_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_quoted: Callable[[str], str] = lru_cache(maxsize=1024)(_encoded)


def _written(data: Mapping[str, Any]) -> str:
    """The data as JSON. Most of it is short: setting up an encoder would take longest."""
    parts = []
    for key, value in data.items():
        kind = type(value)
        if kind is str:
            parts.append(f"{_quoted(key)}:{_quoted(value)}")
        elif kind is int:
            parts.append(f"{_quoted(key)}:{value}")
        elif kind is bool:
            parts.append(f"{_quoted(key)}:{'true' if value else 'false'}")
        else:
            parts.append(f"{_quoted(key)}:{_encoded(value)}")
    return f"{{{','.join(parts)}}}"


class Journal:
    """Append from any thread; read at any time.

    Args:
        path: also kept in this file, line by line.
        clock: seconds, from anywhere.
        keep: False: only in the file, for a recording that may get long.
        tell: called with each event as it is appended, in the thread that appends it.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        keep: bool = True,
        tell: Callable[[Event], object] | None = None,
    ) -> None:
        self._clock = clock
        self._start = clock()
        self._events: list[Event] = []
        self._n = 0
        self._keep = keep
        self._tell = tell
        self._lock = threading.Lock()
        self._file: IO[str] | None = path.open("w", encoding="utf-8") if path else None

    def append(
        self,
        kind: str,
        name: str = "",
        *,
        copy: str | None = None,
        connection: int | None = None,
        channel: int | None = None,
        side: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """Record that something happened now."""
        with self._lock:
            at_s = round(self._clock() - self._start, 6)
            event = Event(self._n, at_s, kind, name, copy, connection, channel, side, data or {})
            self._n += 1
            if self._keep:
                self._events.append(event)
            if self._file:
                self._file.write(event.to_json() + "\n")
            if self._tell:
                self._tell(event)
        return event

    @property
    def events(self) -> Sequence[Event]:
        """All events up to now: a copy, which does not grow."""
        return tuple(self._events)

    def since(self, n: int) -> Sequence[Event]:
        """The events from the nth on."""
        return self._events[n:]

    def __len__(self) -> int:
        return self._n

    def wait_for(
        self, look: Callable[[Sequence[Event]], T | None], timeout_s: float, *, what: str
    ) -> T:
        """Wait until `look`, given all events, returns something true; return that.

        Raises:
            WaitedTooLong: it did not within `timeout_s` seconds.
        """
        return wait_until(lambda: look(self._events), timeout_s, what=what, interval_s=0.005)

    def flush(self) -> None:
        """Have in the file what was appended up to now."""
        with self._lock:
            if self._file:
                self._file.flush()

    def close(self) -> None:
        """Write out and close the file, if there is one. What is in memory stays readable."""
        with self._lock:
            if self._file:
                self._file.close()
                self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def write_journals(path: Path, journals: Iterable[Sequence[Event]]) -> None:
    """Write journals into one file, one after the other."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(event.to_json() + "\n" for events in journals for event in events)


def read_journals(path: Path) -> list[list[Event]]:
    """The journals of a file. A last line that was cut off in the middle is left out.

    Raises:
        BadInput: the file cannot be read, or is no journal.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path} cannot be read: {error}.",
            remedy="Name a file that --journal or --record made.",
        ) from error
    journals: list[list[Event]] = []
    for event in _events(path, lines):
        if event.kind == "run" or not journals:
            journals.append([])
        journals[-1].append(event)
    if not journals:
        raise BadInput(f"{path} is empty.", remedy="Name a file that --journal or --record made.")
    return journals


def _events(path: Path, lines: Sequence[str]) -> Iterator[Event]:
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            yield Event.from_json(line)
        except (ValueError, TypeError) as error:
            if number == len(lines):  # no line end: whoever wrote it was ended in the middle
                return
            raise BadInput(
                f"{path} is no journal: line {number} is no event.",
                remedy="Name a file that --journal or --record made.",
            ) from error
