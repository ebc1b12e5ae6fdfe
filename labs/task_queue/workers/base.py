"""What a work queue asks of a worker, and the two ways in which a worker can refuse.

A worker is a backend that runs jobs, each known by its task's id: processes of this machine,
programs behind a broker, workflows on a cluster. Three methods make one; `Restartable` and
`Telling` are for those that can do more. What a worker raises decides what becomes of the task:
`WorkerUnreachable` says that nobody is to blame, and it is tried again; anything else that
`send_job` raises is taken for the job's own fault, and the task fails with it as the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from labs.errors import LabError
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Json


class WorkerUnreachable(LabError):
    """Raised when a worker's backend does not answer, or can't take anything at present.

    Whether the job was taken is open. It is tried again; no task fails for it.
    """

    exit_code = 20


class JobRefused(LabError):
    """Raised when a job can't be run as it is: the task fails, with this as its reason."""

    exit_code = 21


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker can tell of a job that has ended."""

    result: Json = None
    """Kept with the task if it has succeeded; JSON."""
    reason: str = ""
    """Kept with the task if it has failed."""


class Worker(Protocol):
    """Runs jobs. A work queue calls it from one thread at a time."""

    def send_job(self, queue_item_id: str, queue_item_body: Json, /) -> None:
        """Begin with a job, and return once it is certain to be run.

        Raises:
            WorkerUnreachable: try again later.
            Exception: it can't be run, by its own fault.
        """

    def poll_all_status(self) -> Mapping[str, Stage]:
        """The stage of each job that was sent and not deleted: PROCESSING, SUCCESS or FAIL.

        Raises:
            WorkerUnreachable: try again later.
        """

    def delete_job(self, queue_item_id: str, /) -> None:
        """Forget a job, and stop it if it runs: the next poll does not have it.

        Raises:
            WorkerUnreachable: try again later.
        """


@runtime_checkable
class Restartable(Protocol):
    """A worker whose jobs go on when its controller dies, and can be found again."""

    @property
    def backend(self) -> str:
        """Names the part of the backend that is this worker's, the same after a restart.

        Two workers of the same backend see the same jobs. It is the controller's id unless
        another one is given. No secrets.
        """

    def take_up(self, sent: Collection[str], doubtful: Collection[str]) -> None:
        """Called before the first poll: these ids are this worker's, from an earlier life.

        Args:
            sent: they were certainly sent.
            doubtful: they may have been sent: to be polled only if the backend has them.
        """


@runtime_checkable
class Telling(Protocol):
    """A worker that knows what came of a job."""

    def explain(self, queue_item_id: str, /) -> Report:
        """What came of a job that has ended; called before it is deleted."""
