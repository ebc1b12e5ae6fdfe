"""What becomes of a job in its handler's hands: the rules, without a queue.

A handler says True (done), False (not yet), or it has failed: whatever else it returns,
a forgotten `return` too, and whatever it raises. `attempted` calls it and says which,
and never raises itself. `Patience` says how long a job waits before it comes back.
An `Attempt` is the record of one, for whoever observes a worker.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

from labs.job_queue.jobs import Handler, Job

LONGEST_TRACEBACK_B = 8 * 1024
LONGEST_REASON_B = 1024
LONGEST_DOUBLING = 60


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    NOT_YET = "not yet"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """No handler here knows its type; another replica's may."""


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome, with the reason for those that need one."""

    outcome: Outcome
    why: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job, as it was."""

    job_id: str
    job_type: str
    """Empty for what was no job."""
    number: int
    """1 for the first."""
    started_s: float
    """Seconds since 1970."""
    ended_s: float
    outcome: Outcome
    why: str = ""
    """The reason, where it is not done."""


Observer = Callable[[Attempt], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a job waits before it comes back, and how often a stranger may come."""

    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    unknown_limit: int = 20
    """So often no handler may know a job's type; then it has failed. A quarter of an hour."""

    def pause_s(self, attempt: int) -> float:
        """The pause after this attempt (from 1): twice the one before, up to the longest."""
        doublings = min(max(attempt - 1, 0), LONGEST_DOUBLING)
        return float(min(self.first_pause_s * 2**doublings, self.longest_pause_s))

    def pauses_s(self) -> tuple[float, ...]:
        """All pauses that there are, the shortest first."""
        pauses = [self.pause_s(1)]
        while pauses[-1] < min(self.longest_pause_s, self.pause_s(LONGEST_DOUBLING)):
            pauses.append(self.pause_s(len(pauses) + 1))
        return tuple(pauses)


DONE = Result(Outcome.DONE)
NOT_YET = Result(Outcome.NOT_YET, "The handler returned False.")


def attempted(handler: Handler, job: Job) -> Result:
    """Let the handler do the job, and say what came of it."""
    process = os.getpid()
    try:
        returned: object = handler(job)
    except BaseException as error:  # noqa: BLE001 - also sys.exit(): it must not end a worker
        return Result(Outcome.FAILED, _said(error), _traceback(error))
    finally:
        if os.getpid() != process:
            os._exit(1)  # a child that the handler has forked: no second worker on our connection
    if returned is True:
        return DONE
    if returned is False:
        return NOT_YET
    return Result(Outcome.FAILED, _in_words(returned))


def bounded(text: str, most_b: int, *, keep_end: bool = False) -> str:
    """The text in at most so many bytes of UTF-8, cut at one end, and such as UTF-8 can hold."""
    whole = text.encode("utf-8", "backslashreplace")
    if len(whole) > most_b:
        whole = b"..." + whole[3 - most_b :] if keep_end else whole[: most_b - 3] + b"..."
    return whole.decode("utf-8", "ignore")


def _in_words(returned: object) -> str:
    if returned is None:
        return "The handler returned None, neither True nor False: was a `return` forgotten?"
    try:
        shown = repr(returned)
    except Exception:  # noqa: BLE001 - a learner's own class may do anything here
        shown = "something"
    shown = bounded(shown, 100)
    return f"The handler returned {shown} ({type(returned).__name__}), neither True nor False."


def _said(error: BaseException) -> str:
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - likewise
        said = "(it can't be shown)"
    name = type(error).__name__
    return bounded(f"{name}: {said}" if said else name, LONGEST_REASON_B)


def _traceback(error: BaseException) -> str:
    """The traceback from the handler on: what called it is no learner's business."""
    trace: TracebackType | None = error.__traceback__
    inner = trace.tb_next if trace else None
    try:
        text = "".join(traceback.format_exception(type(error), error, inner))
    except Exception:  # noqa: BLE001 - likewise
        return ""
    return bounded(text, LONGEST_TRACEBACK_B, keep_end=True)
