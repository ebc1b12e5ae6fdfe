"""A trial with jobs: JSON mappings with a type and an id, some of which are not ready at first.

A job is known by its `text`, which is what the line `done TEXT` names. Whether it is ready
a file says: READY_DIR/JOB_ID. The judge makes it before it publishes the job or, for the
first few of a plan, when a step (`MakeReady`) says so: by what has happened, never by
the clock. All else is as in any trial on RabbitMQ.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labs.journal import Event
from labs.judge.ground import Ground
from labs.judge.plan import Plan, Setting
from labs.judge.trial import Trial, run_trial

JOB_TYPE = "Deployment"


def run_job_trial(plan: Plan[JobTrial], setting: Setting) -> Sequence[Event]:
    """Run one trial with jobs from beginning to end; its journal. Raises as `run_trial`."""
    return run_trial(plan, setting, JobTrial)


class JobTrial(Trial):
    """A trial with jobs while it runs."""

    known_by = "text"

    def __init__(
        self, plan: Plan[Any], setting: Setting, ground: Ground, *rest: Any, **more: Any
    ) -> None:
        super().__init__(plan, setting, ground, *rest, **more)
        source = random.Random(f"{setting.seed}/{plan.name}/ids")
        every = [body for one in self.bodies for body in one]
        self._ids = {body: f"{source.getrandbits(48):012x}" for body in every}
        self.unready = set(self.bodies[0][: plan.unready])
        """Those that are not ready yet."""

    @property
    def _ready(self) -> Path:
        return self._setting.folder / f"{self.plan.name}-ready"

    def environment(self, copy: str) -> Mapping[str, str]:
        """The same, and where files say what is ready."""
        self._ready.mkdir(exist_ok=True)
        return {**super().environment(copy), "READY_DIR": str(self._ready)}

    def message(self, body: str) -> tuple[str, str, Mapping[str, Any]]:
        """A job, which is ready unless it is one of those that are not."""
        job_id = self._ids[body]
        if body not in self.unready:
            self._say_ready(body)
        job = {"job_type": JOB_TYPE, "job_id": job_id, "text": body}
        about = {"job_id": job_id, "ready": body not in self.unready}
        return json.dumps(job, ensure_ascii=False), job_id, about

    def make_ready(self) -> None:
        """Make all ready that were not, and note it."""
        self.note("made-ready", jobs=[self._ids[body] for body in sorted(self.unready)])
        for body in self.unready:
            self._say_ready(body)
        self.unready = set()

    def _say_ready(self, body: str) -> None:
        (self._ready / self._ids[body]).touch()
