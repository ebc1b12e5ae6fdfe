"""Attempts of jobs, from what was observed of them to the rows that a picture draws.

They come from two places: a job queue in this kernel hands its observer one value after
each attempt; workers that are processes of their own tell when they began a job and
when it was done, and the kit knows when it killed one. All here is pure: values in,
rows out, with times in seconds from the first attempt (or from when a job was queued).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

from labs.pictures.attempts import Attempt, Ending, JobRow
from labs.pictures.spans import Outcome, Timeline

ENDINGS = {
    Outcome.DONE: Ending.DONE,
    Outcome.LOST: Ending.LOST,
    Outcome.CUT_OFF: Ending.LOST,
    Outcome.AT_WORK: Ending.AT_WORK,
}
UNKNOWN = "unknown"
"""The outcome of a job that no handler knew: it comes back like one that is not yet done."""


class Observed(Protocol):
    """What a job queue tells of one attempt; times in seconds since 1970."""

    @property
    def job_id(self) -> str: ...
    @property
    def job_type(self) -> str: ...
    @property
    def started_s(self) -> float: ...
    @property
    def ended_s(self) -> float: ...
    @property
    def outcome(self) -> str: ...
    @property
    def why(self) -> str: ...


def observed_rows(
    attempts: Iterable[Observed],
    *,
    by_type: bool = False,
    queued: Mapping[str, float] | None = None,
) -> list[JobRow]:
    """A row for each job (or for each type), in the order of their first attempts.

    `queued`: when a row's job was queued, in seconds since 1970, by the row's name.
    """
    ordered = sorted(attempts, key=lambda attempt: attempt.started_s)
    queued = queued or {}
    starts = [attempt.started_s for attempt in ordered] + list(queued.values())
    start = min(starts, default=0.0)
    rows: dict[str, list[Attempt]] = defaultdict(list)
    for one in ordered:
        name = (one.job_type if by_type else one.job_id) or "no job"
        ending = Ending.NOT_YET if one.outcome == UNKNOWN else Ending(one.outcome)
        why = "" if ending is Ending.NOT_YET and one.outcome != UNKNOWN else one.why
        rows[name].append(Attempt(one.started_s - start, one.ended_s - start, ending, why=why))
    return [
        JobRow(
            name,
            tuple(tried),
            queued[name] - start if name in queued else None,
            one_job=not by_type,
        )
        for name, tried in rows.items()
    ]


def told_rows(timeline: Timeline) -> list[JobRow]:
    """A row for each body that workers had in hand, in the order of their first attempts."""
    rows: dict[str, list[Attempt]] = defaultdict(list)
    spans = [(span, lane.worker) for lane in timeline.lanes for span in lane.spans]
    for span, worker in sorted(spans, key=lambda pair: pair[0].start_s):
        ending = ENDINGS[span.outcome]
        rows[span.body].append(Attempt(span.start_s, span.end_s, ending, worker))
    return [JobRow(name, tuple(tried)) for name, tried in rows.items()]
