"""What a timeline is made of: who worked on which message from when to when.

Plain frozen values with times in seconds from the start of the run. They say
nothing about where they come from: the notebooks make them from the words of
the workers. `Timeline.in_words` tells the whole run in sentences.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How the work on one delivery ended."""

    DONE = "done"
    LOST = "lost"  # received and forgotten, on purpose
    CUT_OFF = "cut off"  # the worker died, or lost its connection, in the middle of the work
    AT_WORK = "at work"  # still going on when the picture was made


class Mark(StrEnum):
    """What happened to a worker itself."""

    STARTED = "started"
    STOPPED = "stopped"
    KILLED = "killed"
    CRASHED = "crashed"
    FROZEN = "frozen"
    THAWED = "thawed"
    DISCONNECTED = "connection lost"
    FAILED = "failed"


@dataclass(frozen=True)
class Span:
    """One delivery at one worker: the work on it, from when to when (seconds)."""

    body: str
    start_s: float
    end_s: float
    outcome: Outcome = Outcome.DONE
    redelivered: bool = False
    acknowledged: bool = False


@dataclass(frozen=True)
class Moment:
    """Something that happened to a worker, and when (seconds)."""

    mark: Mark
    at_s: float


@dataclass(frozen=True)
class Lane:
    """One worker's row: its spans in the order of their starts, and its moments."""

    worker: str
    spans: tuple[Span, ...] = ()
    moments: tuple[Moment, ...] = ()

    @property
    def counts(self) -> Counter[Outcome]:
        """How many spans ended how."""
        return Counter(span.outcome for span in self.spans)


@dataclass(frozen=True)
class Timeline:
    """A whole run: one lane a worker, `length_s` seconds long."""

    lanes: tuple[Lane, ...]
    length_s: float

    def in_words(self) -> str:
        """The run as text, one sentence a worker: the picture's alternative."""
        if not self.lanes:
            return "Timeline: no worker, no message."
        return "\n".join(
            [f"Timeline of {self.length_s:.1f} seconds."] + [_words(lane) for lane in self.lanes]
        )


def shortened(text: str, length: int) -> str:
    """At most `length` characters of a text, in one line; an ellipsis says where it was cut.

    What can't be printed (control characters, which XML forbids) becomes a replacement mark.
    """
    few = text[: 10 * length]  # of megabytes only the beginning is looked at
    line = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(few.split()))
    return line if len(line) <= length else line[: length - 1] + "…"


def _words(lane: Lane) -> str:
    parts = []
    for outcome in Outcome:
        bodies = [span.body for span in lane.spans if span.outcome is outcome]
        if bodies:
            parts.append(f"{outcome} {_listed(bodies)}")
    again = [span.body for span in lane.spans if span.redelivered]
    if again:
        parts.append(f"of these redelivered {_listed(again)}")
    acknowledged = sum(span.acknowledged for span in lane.spans)
    if acknowledged:
        parts.append(f"{acknowledged} acknowledged")
    parts.extend(
        f"{moment.mark} at {moment.at_s:.1f} s"
        for moment in lane.moments
        if moment.mark is not Mark.STARTED
    )
    return f"{lane.worker}: {'; '.join(parts) or 'received no message'}."


def _listed(bodies: list[str], most: int = 12) -> str:
    """Bodies as a short list: the first ones, and how many more there are."""
    shown = ", ".join(shortened(body, 24) for body in bodies[:most])
    more = len(bodies) - most
    return f"{len(bodies)} ({shown}{f' and {more} more' if more > 0 else ''})"
