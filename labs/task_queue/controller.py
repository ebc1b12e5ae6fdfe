"""The controller: now and then it settles the jobs that have ended, and starts the next.

`Controller.run` goes on until it is told to stop. A store or a worker that is out of reach is
no reason to end: it is said once in the log, and tried again after pauses that grow. What runs
when it stops goes on at the worker; a controller of the same id takes it up again. Its claims
have a lease, extended at each look, so that one that never comes back holds nothing for ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from labs.errors import BadInput
from labs.stopping import Stop
from labs.task_queue.configuration import (
    QueueKind,
    TaskQueueSettings,
    WorkerKind,
    validate_args,
)
from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.queue import TaskQueue
from labs.task_queue.release import ProcessingLimit, ReleaseAll, ResourceLimit, Strategy
from labs.task_queue.stages import Stage
from labs.task_queue.work_queue import WorkQueue
from labs.task_queue.workers.base import Worker

T = TypeVar("T")

logger = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one look came to."""

    succeeded: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    processing: int = 0
    """Jobs of this controller that go on."""
    trouble: str = ""
    """Why the store or the worker is out of reach; empty while they answer."""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has happened."""
        return not (self.succeeded or self.failed or self.started)


Teller = Callable[[Round], None]


@dataclass
class Controller:
    """Settles and starts jobs, again and again."""

    work_queue: WorkQueue
    strategy: Strategy
    period_s: float
    first_pause_s: float = FIRST_PAUSE_S
    tell: Teller = lambda _: None
    """Is told of each look."""
    _down: int = field(default=0, init=False)
    """How often in a row the store was out of reach."""
    _trouble: str = field(default="", init=False)

    def once(self) -> Round:
        """Settle what has ended, and start what may be started.

        Raises:
            StoreUnreachable: call it again; nothing is lost.
        """
        settled = self.work_queue.update_job_status()
        started = self.strategy.release_next_jobs(self.work_queue)
        return Round(
            succeeded=tuple(id_ for id_, stage in settled.items() if stage is Stage.SUCCESS),
            failed=tuple(id_ for id_, stage in settled.items() if stage is Stage.FAIL),
            started=tuple(claim.id for claim in started),
            processing=len(self.work_queue.jobs),
            trouble=self.work_queue.trouble,
        )

    def run(self, stop: Stop) -> None:
        """Look every `period_s` seconds, until `stop` is wanted."""
        while not stop.wanted:
            begun = time.monotonic()
            try:
                look = self.once()
            except StoreUnreachable as error:
                self._down += 1
                look = Round(processing=len(self.work_queue.jobs), trouble=str(error))
                self._say(f"The store does not answer; trying again. {error}")
                pause_s = min(self.first_pause_s * 2.0 ** (self._down - 1), LONGEST_PAUSE_S)
            else:
                self._down = 0
                self._say("")
                pause_s = max(0.0, begun + self.period_s - time.monotonic())
                if look.trouble:  # the work queue has said why, and knows when to ask again
                    pause_s = min(pause_s, max(self.work_queue.resting_s, self.first_pause_s))
            self.tell(look)
            stop.wait(pause_s)

    def _say(self, trouble: str) -> None:
        """Log a trouble once, and its end."""
        if trouble and not self._trouble:
            logger.warning("%s", trouble)
        if self._trouble and not trouble:
            logger.warning("The store answers again.")
        self._trouble = trouble


def open_patiently(opener: Callable[[], T], stop: Stop) -> T | None:
    """Open a queue, or what stands on one, and try again while its store does not answer.

    None if `stop` came first.

    Raises:
        LabError: it can't be used, and trying again won't help.
    """
    said = ""
    pause_s = FIRST_PAUSE_S
    while not stop.wanted:
        try:
            return opener()
        except StoreUnreachable as error:
            if str(error) != said:
                said = str(error)
                logger.warning("The store does not answer; trying again. %s", said)
        stop.wait(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    return None


# --- From settings ----------------------------------------------------------------------------


def controller_of(settings: TaskQueueSettings, queue: TaskQueue, tell: Teller) -> Controller:
    """The controller that the settings mean, before this queue.

    Raises:
        BadInput: a setting is missing, or can't be meant.
    """
    return Controller(
        WorkQueue(queue, worker_of(settings), controller=settings.worker_interface_id),
        strategy_of(settings),
        settings.periodic_seconds,
        tell=tell,
    )


def check(settings: TaskQueueSettings) -> None:
    """Return if the settings can be a controller's.

    Raises:
        BadInput: they can't.
    """
    if settings.kind is QueueKind.IN_MEMORY:
        raise BadInput(
            "A controller needs a queue that others can put tasks into: one in memory is in "
            "this process alone, and always empty.",
            remedy="Take --queue-implementation sql-json or s3-json.",
        )
    if settings.worker_interface is None:
        raise BadInput(
            "It is not said what shall run the tasks.",
            remedy="Take --worker-interface process with --path-to-scripts FOLDER, rabbit with "
            "AMQP_URL set, or argo-workflows.",
        )
    fits, wrong = validate_args(
        {
            **settings.model_dump(),
            "queue_implementation": None,  # whoever opens the queue says what is missing of it
        }
    )
    if not fits:
        raise BadInput(f"{wrong}.", remedy="`labs task-queue controller --help` has examples.")


def strategy_of(settings: TaskQueueSettings) -> Strategy:
    """How many of the waiting tasks may be started."""
    if settings.resource_limits is not None:
        return ResourceLimit(settings.resource_limits)
    if settings.processing_limit == 0:
        return ReleaseAll()
    return ProcessingLimit(settings.processing_limit)


def worker_of(settings: TaskQueueSettings) -> Worker:
    """What runs the tasks. Only what it needs is imported."""
    check(settings)
    if settings.worker_interface is WorkerKind.ARGO:
        from labs.task_queue.workers.argo import ArgoWorker

        token = settings.argo_token
        return ArgoWorker(
            settings.worker_interface_id or "",
            settings.endpoint or "",
            settings.namespace or "",
            token=None if token is None else token.get_secret_value(),
        )
    if settings.worker_interface is WorkerKind.RABBIT:
        from labs.task_queue.workers.rabbit import RabbitWorker

        assert settings.amqp_url is not None, "check() wants it"
        return RabbitWorker(
            settings.amqp_url.get_secret_value(),
            queue=settings.rabbit_queue,
            name=settings.worker_interface_id,
        )
    from labs.task_queue.workers.process import ProcessWorker

    assert settings.path_to_scripts is not None, "check() wants it"
    return ProcessWorker(settings.path_to_scripts, state=settings.process_state)
