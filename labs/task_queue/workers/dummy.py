"""A worker that runs nothing: somebody marks by hand how each job ends. For lessons and tests.

Its jobs are a dict in memory, which anybody may look at. `down` plays a backend that is out of
reach, which no task may fail for.
"""

from __future__ import annotations

from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Json
from labs.task_queue.workers.base import Report, WorkerUnreachable


class DummyWorker:
    """Jobs that end when, and how, they are told to."""

    def __init__(self) -> None:
        self.down = False
        """Whether it is to play dead."""
        self.jobs: dict[str, Stage] = {}
        self.bodies: dict[str, Json] = {}
        self._reports: dict[str, Report] = {}

    def send_job(self, queue_item_id: str, queue_item_body: Json, /) -> None:
        """Take a job. Raises WorkerUnreachable while it is down."""
        self._answer()
        self.jobs[queue_item_id] = Stage.PROCESSING
        self.bodies[queue_item_id] = queue_item_body

    def poll_all_status(self) -> dict[str, Stage]:
        """How the jobs stand. Raises WorkerUnreachable while it is down."""
        self._answer()
        return dict(self.jobs)

    def delete_job(self, queue_item_id: str, /) -> None:
        """Forget a job. Raises WorkerUnreachable while it is down."""
        self._answer()
        self.jobs.pop(queue_item_id, None)
        self.bodies.pop(queue_item_id, None)
        self._reports.pop(queue_item_id, None)

    def explain(self, queue_item_id: str, /) -> Report:
        """What was said of the job when it was marked."""
        return self._reports.get(queue_item_id, Report())

    def mock_success(self, queue_item_id: str, *, result: Json = None) -> None:
        """Let the job have succeeded. Raises KeyError for a job that it does not have."""
        self._mark(queue_item_id, Stage.SUCCESS, Report(result=result))

    def mock_fail(self, queue_item_id: str, *, reason: str = "It was marked so.") -> None:
        """Let the job have failed. Raises KeyError for a job that it does not have."""
        self._mark(queue_item_id, Stage.FAIL, Report(reason=reason))

    def _mark(self, id_: str, stage: Stage, report: Report) -> None:
        if id_ not in self.jobs:
            raise KeyError(id_)
        self.jobs[id_] = stage
        self._reports[id_] = report

    def _answer(self) -> None:
        if self.down:
            raise WorkerUnreachable("The dummy worker plays dead.", remedy="Set down to False.")


DummyWorkerInterface = DummyWorker
"""The known name."""
