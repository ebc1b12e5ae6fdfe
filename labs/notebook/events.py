"""What a worker says of itself, as values; and what the sayings add up to.

`qprocessor.py --json` prints one JSON object a line. `parse_line` makes a
`WorkerEvent` of it; the kit adds events of its own for what a worker can't say
any more (killed, frozen, ended). `timeline_of` turns the events of a run into
the spans that the picture draws. All here is pure: text and values in, values out.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from labs.pictures.spans import Lane, Mark, Moment, Outcome, Span, Timeline

BODY_LENGTH = 200  # characters of a body that are shown; it may have megabytes


class Event(StrEnum):
    """What can happen to a worker: its own words first, then ours about it."""

    STARTED = "started"
    RECEIVED = "received"
    DONE = "done"
    ACKNOWLEDGED = "acknowledged"
    LOST = "lost"
    CRASHING = "crashing"
    DISCONNECTED = "disconnected"
    RECONNECTING = "reconnecting"
    STOPPED = "stopped"
    FAILED = "failed"
    KILLED = "killed"
    FROZEN = "frozen"
    THAWED = "thawed"
    ENDED = "ended"


@dataclass(frozen=True)
class WorkerEvent:
    """One thing that happened to a worker; `time` in Unix seconds."""

    worker: str
    event: Event
    time: float
    body: str = ""
    number: int | None = None
    delivery_tag: int | None = None
    redelivered: bool = False
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """All else that the worker said: `queue`, `reason`, `work_s`, `message`…"""

    def __str__(self) -> str:
        """The line that the worker would print for a person; a long body is cut."""
        again = " (redelivered)" if self.redelivered and self.event is Event.RECEIVED else ""
        body = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode()
            for c in self.body[:BODY_LENGTH]
        )
        body += "…" if len(self.body) > BODY_LENGTH else ""
        queue = self.details.get("queue")
        return {
            Event.STARTED: f" [*] waits for messages{f' in {queue!r}' if queue else ''}",
            Event.RECEIVED: f" [x] Received {body}{again}",
            Event.DONE: f" [x] Done {body}",
            Event.ACKNOWLEDGED: f" [x] Acknowledged {body}",
            Event.LOST: f" [!] Lost {body}",
            Event.CRASHING: f" [!] Crashing in the middle of {body}",
            Event.DISCONNECTED: f" [!] Connection lost: {self.details.get('reason', '')}",
            Event.RECONNECTING: " [*] Tries to come back",
            Event.STOPPED: " [*] Stopped",
            Event.FAILED: f" [!] {self.details.get('message', 'Failed')}",
            Event.KILLED: " [!] Killed (SIGKILL)",
            Event.FROZEN: " [!] Frozen (SIGSTOP)",
            Event.THAWED: " [*] Thawed (SIGCONT)",
            Event.ENDED: f" [!] Ended with exit code {self.details.get('exit_code')}",
        }[self.event]


KNOWN = {"event", "time", "worker", "pid", "number", "delivery_tag", "redelivered", "body"}


def parse_line(line: str, *, worker: str, now: float) -> WorkerEvent | None:
    """Read a line of `qprocessor.py --json`; None if it is something else, such as a print."""
    try:
        said = json.loads(line)
        event = Event(said["event"])
    except (ValueError, KeyError, TypeError):
        return None
    return WorkerEvent(
        worker=worker,
        event=event,
        time=float(said.get("time", now)),
        body=str(said.get("body", "")),
        number=said.get("number"),
        delivery_tag=said.get("delivery_tag"),
        redelivered=bool(said.get("redelivered", False)),
        details={key: value for key, value in said.items() if key not in KNOWN},
    )


MARKS = {
    Event.STARTED: Mark.STARTED,
    Event.STOPPED: Mark.STOPPED,
    Event.KILLED: Mark.KILLED,
    Event.CRASHING: Mark.CRASHED,
    Event.FROZEN: Mark.FROZEN,
    Event.THAWED: Mark.THAWED,
    Event.DISCONNECTED: Mark.DISCONNECTED,
    Event.FAILED: Mark.FAILED,
}
# A lost connection is not here: the worker finishes what it has in hand, and can't acknowledge it.
ENDS_ALL_WORK = {Event.KILLED, Event.CRASHING, Event.FAILED, Event.STOPPED, Event.ENDED}


def timeline_of(
    events: Iterable[WorkerEvent], workers: Iterable[str] = (), *, now: float | None = None
) -> Timeline:
    """The run that these events tell, one lane for each worker of `workers` and of the events.

    Time starts at the first message received (or, without any, at the first
    event), so that the start of the processes doesn't push the work aside.
    `now` (Unix seconds) is where work that goes on is cut; without it, at the last event.
    """
    events = sorted(events, key=lambda event: event.time)
    names = dict.fromkeys([*workers, *(event.worker for event in events)])
    if not events:
        return Timeline(tuple(Lane(name) for name in names), 0.0)
    received = [event.time for event in events if event.event is Event.RECEIVED]
    start, end = received[0] if received else events[0].time, events[-1].time
    by_worker: dict[str, list[WorkerEvent]] = defaultdict(list)
    for event in events:
        by_worker[event.worker].append(event)
    lanes = tuple(_lane(name, by_worker[name], start, max(end, now or end)) for name in names)
    if any(lane.counts[Outcome.AT_WORK] for lane in lanes):
        end = max(end, now or end)
    return Timeline(lanes, round(end - start, 6))


def _lane(worker: str, events: list[WorkerEvent], start: float, end: float) -> Lane:
    """Follow one worker: which work is open, and which event ends it how."""
    spans: list[Span] = []
    moments: list[Moment] = []
    at_work: dict[int | None, WorkerEvent] = {}
    acknowledged: set[int | None] = set()
    of_delivery: dict[int, int | None] = {}  # index in spans -> delivery number

    def ends(number: int | None, at: float, outcome: Outcome) -> None:
        begun = at_work.pop(number, None)
        if begun is not None:
            of_delivery[len(spans)] = number
            span = Span(
                begun.body, _since(start, begun), round(at - start, 6), outcome, begun.redelivered
            )
            spans.append(span)

    for event in events:
        if event.event is Event.RECEIVED:
            at_work[event.number] = event
        elif event.event is Event.DONE:
            ends(event.number, event.time, Outcome.DONE)
        elif event.event is Event.LOST:
            ends(event.number, event.time, Outcome.LOST)
        elif event.event is Event.ACKNOWLEDGED:
            acknowledged.add(event.number)
        elif event.event in ENDS_ALL_WORK:
            for number in list(at_work):
                ends(number, event.time, Outcome.CUT_OFF)
        if event.event in MARKS:
            moments.append(Moment(MARKS[event.event], max(0.0, _since(start, event))))
    for number in list(at_work):
        ends(number, end, Outcome.AT_WORK)
    finished = [
        Span(s.body, s.start_s, s.end_s, s.outcome, s.redelivered, of_delivery[i] in acknowledged)
        for i, s in enumerate(spans)
    ]
    return Lane(worker, tuple(sorted(finished, key=lambda span: span.start_s)), tuple(moments))


def _since(start: float, event: WorkerEvent) -> float:
    return round(event.time - start, 6)
