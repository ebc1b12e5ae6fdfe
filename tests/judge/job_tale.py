"""Journals of trials with jobs, told by hand: jobs are named by their text, as in `tale`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

from tests.judge.tale import QUEUE, Tale

FAILED = f"{QUEUE}.failed"
LATER = f"{QUEUE}.delay.1000"


def job(text: str, job_id: str | None = None) -> str:
    """The message that a job is."""
    job_id = job_id or f"id-{text}"
    return json.dumps({"job_type": "Deployment", "job_id": job_id, "text": text})


class JobTale(Tale):
    """A journal in the making, of two workers that consume."""

    def __init__(self, *, trial: str = "not-ready") -> None:
        super().__init__("job-handler", trial=trial, ground={"queue": QUEUE, "known_by": "text"})
        self._renamed: str | None = None
        self.worker("A", "B")

    def published(self, *bodies: str, ready: bool = True) -> Self:
        """The judge queued these jobs."""
        for body in bodies:
            about = {"job_id": f"id-{body}", "message_id": f"id-{body}", "ready": ready}
            self.event("published", data={"body": job(body), "wave": 1} | about)
        return self

    def made_ready(self) -> Self:
        """The judge said that all are ready."""
        return self.note("made-ready", jobs=[])

    def gives_back(self, copy: str, body: str, *, to: str = LATER) -> Self:
        """It published the job again, to a queue of delay, and acknowledged it."""
        return self.sends(body, key=to, copy=copy).acked(copy, body)

    def lays_aside(self, copy: str, body: str) -> Self:
        """It put the job among the failed."""
        return self.gives_back(copy, body, to=FAILED)

    def queues_anew(self, copy: str, body: str) -> Self:
        """It queued the job under another id."""
        self._renamed = "another"
        self.sends(body, copy=copy)
        self._renamed = None
        return self

    def looked_at(self, copy: str, body: str) -> Self:
        """It got the job, and gave it back."""
        return self.delivered(copy, body).gives_back(copy, body)

    def left(self, body: str, queue: str = QUEUE, **more: Any) -> Self:
        """The judge found it in a queue at the end."""
        data = {"queue": queue, "body": job(body), "message_id": f"id-{body}", **more}
        self.event("left", data=data)
        return self

    def _content(
        self,
        copy: str,
        side: str,
        body: str,
        properties: Mapping[str, Any],
        gone: Mapping[str, Any],
    ) -> None:
        super()._content(copy, side, job(body, self._renamed), properties, gone)
