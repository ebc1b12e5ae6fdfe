"""The job queue: where jobs are queued, handlers registered, and a replica begins and ends.

It knows nothing of the work: each job has a type, each type a handler. It declares its
queues when they are first needed: the work queue, the slow one beside it, and the failed.
What happens to a job in hand is `worker`'s business. `run` is for a process that does
nothing else: it heeds SIGTERM and SIGINT, once; the second time they do what they always do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from labs.errors import BadInput, LabError
from labs.job_queue.bus import Bus, Header, Message, NoSuchQueue, QueueSpec
from labs.job_queue.failed import FailedJobs
from labs.job_queue.jobs import Handler, admitted, admitted_delay
from labs.job_queue.outcomes import Observer, Patience
from labs.job_queue.registry import Registry
from labs.job_queue.worker import Queues, Worker
from labs.stopping import Stop, signals_stop

if TYPE_CHECKING:
    from labs.job_queue.configuration import Settings

logger = logging.getLogger(__name__)
LONGEST_NAME_B = 200
"""With room for what the names of its other queues end with: AMQP's are of 255 bytes at most."""
MOST_PREFETCHED = 65_535
_AS_A_DECORATOR: Any = object()
H = TypeVar("H", bound=Handler)

LETS_GO = (
    "x-message-ttl",
    "x-expires",
    "x-max-length",
    "x-overflow",
    "x-dead-letter",
    "x-delivery",
)
"""Arguments by which a queue lets go of messages: none for the failed."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs are in each queue, and in nobody's hand."""

    ready: int
    slow: int
    """Set aside for slow types, so that quick ones need not wait."""
    failed: int


class JobQueue:
    """A queue of jobs, each with a type; handlers do them, in this process or another.

    Args:
        bus: where the messages are. It stays the caller's to close, unless `connect` made it.
        name: the work queue's; `<name>.failed` and `<name>.slow` are made beside it.
        workers: how many handlers run side by side, in a thread each.
        prefetch: how many jobs may be in hand; None: twice the workers.
        first_pause_s, longest_pause_s: before a job that is not yet done comes back;
            the pause doubles from one to the other.
        unknown_limit: how often no handler may know a job's type before it has failed.
        max_losses: how often a job may be lost with its worker before it has failed.
        grace_s: how long `stop` lets running handlers finish.
        auto_create: whether to declare the queues.
        config: the bus's own arguments for the queues, such as `{"x-queue-type": "classic"}`.
        observer: is called with an `Attempt` after each, in the worker's thread.

    Raises:
        BadInput: a value can't be meant.
    """

    def __init__(
        self,
        bus: Bus,
        name: str,
        *,
        workers: int = 4,
        prefetch: int | None = None,
        first_pause_s: float = 1.0,
        longest_pause_s: float = 60.0,
        unknown_limit: int = 20,
        max_losses: int = 20,
        grace_s: float = 30.0,
        auto_create: bool = True,
        config: Mapping[str, Header] | None = None,
        observer: Observer | None = None,
    ) -> None:
        _must_be(
            _can_be_a_name(name), "name", f"printable text of 1 to {LONGEST_NAME_B} bytes", name
        )
        _must_be(workers >= 1, "workers", "at least 1", workers)
        taken = prefetch is None or 1 <= prefetch <= MOST_PREFETCHED
        _must_be(taken, "prefetch", f"from 1 to {MOST_PREFETCHED}", prefetch)
        pauses = 0 < first_pause_s <= longest_pause_s
        _must_be(pauses, "first_pause_s", "above 0, up to longest_pause_s", first_pause_s)
        _must_be(unknown_limit >= 1, "unknown_limit", "at least 1", unknown_limit)
        _must_be(max_losses >= 0, "max_losses", "0 or more", max_losses)
        _must_be(grace_s >= 0, "grace_s", "0 or more", grace_s)
        self.name = name
        self._bus = bus
        self._owns_bus = False
        self._queues = Queues.of(name)
        self._workers = workers
        self._prefetch = prefetch or min(2 * workers, MOST_PREFETCHED)
        self._patience = Patience(first_pause_s, longest_pause_s, unknown_limit)
        self._max_losses = max_losses
        self._grace_s = grace_s
        self._auto_create = auto_create
        self._config = dict(config or {})
        self._observer = observer
        self._registry = Registry(workers)
        self._declared = False
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._stop = Stop()

    @classmethod
    def connect(cls, url: str | Sequence[str], name: str, **options: Any) -> Self:
        """A queue on the RabbitMQ at this URL (several: a cluster's nodes).

        `options` are the constructor's. Nothing is sent before it is needed.

        Raises:
            BadInput: the URL is none, or an option can't be meant.
        """
        from labs.job_queue.rabbitmq import RabbitBus  # its client takes time to import

        queue = cls(RabbitBus(url), name, **options)
        queue._owns_bus = True
        return queue

    @classmethod
    def from_settings(cls, settings: Settings, *, observer: Observer | None = None) -> Self:
        """The queue that the settings describe.

        Raises:
            BadInput: they name no queue, or a value can't be meant.
        """
        from labs.job_queue.rabbitmq import RabbitBus

        jobs, topic = settings.job_queue, settings.messaging.topics.job_queue
        queue = cls(
            RabbitBus(settings.addresses, name=jobs.consumer_group_id),
            settings.queue_name,
            workers=jobs.workers,
            prefetch=jobs.prefetch,
            first_pause_s=jobs.first_pause_s,
            longest_pause_s=jobs.longest_pause_s,
            unknown_limit=jobs.unknown_limit,
            max_losses=jobs.max_losses,
            grace_s=jobs.grace_s,
            auto_create=topic.auto_create,
            config=settings.queue_config,
            observer=observer,
        )
        queue._owns_bus = True
        return queue

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Queueing

    def queue_job(self, job: Mapping[str, Any], *, delay_s: float = 0.0) -> str:
        """Queue a job; return its `job_id` when the broker has confirmed it: it is safe then.

        Args:
            job: with a `job_type`; all of it JSON. It is not changed. A `job_id` in it is kept.
            delay_s: seconds before which no handler gets it.

        Raises:
            JobRefused: it is no job; also a ValueError.
            NotConfirmed, BusUnreachable: it may not be queued; it is safe to queue it again
                under the same `job_id`, where its handler is idempotent.
        """
        return self.queue_jobs([job], delay_s=delay_s)[0]

    def queue_jobs(
        self, jobs: Sequence[Mapping[str, Any]], *, delay_s: float = 0.0
    ) -> tuple[str, ...]:
        """Queue many at once, in order: much quicker than one by one. All are looked at first.

        Raises:
            As `queue_job`; after NotConfirmed some may be queued.
        """
        delay_s = admitted_delay(delay_s)
        taken = [admitted(job) for job in jobs]
        if not taken:
            return ()
        self._declare()
        messages = [Message(body, {}, job_id) for job_id, body in taken]
        self._bus.publish(self._queues.work, messages, delay_s=delay_s)
        return tuple(job_id for job_id, _ in taken)

    # Handling

    @overload
    def register_job_handler(
        self, job_type: str, *, share: int | None = None
    ) -> Callable[[H], H]: ...

    @overload
    def register_job_handler(self, job_type: str, handler: H, *, share: int | None = None) -> H: ...

    def register_job_handler(
        self, job_type: str, handler: H = _AS_A_DECORATOR, *, share: int | None = None
    ) -> H | Callable[[H], H]:
        """Let this function do the jobs of this type; also as a decorator.

        Args:
            job_type: as in the job.
            handler: takes the job, a dict of its own. Returns True: done. False: not yet.
                Anything else, and any exception: the job has failed.
            share: how many of the workers the type may have at once; None: all but one.

        Raises:
            BadHandler: the type has a handler, or this can't be one; also a ValueError.
        """
        if handler is _AS_A_DECORATOR:
            self._registry.must_be_free(job_type)  # also when the type was forgotten: @….register…
            return lambda function: self.register_job_handler(job_type, function, share=share)
        self._registry.register(job_type, handler, share)
        return handler

    def start(self) -> None:
        """Begin to handle jobs, in threads of the queue's own; return at once.

        Raises:
            BadInput: it runs already, no handler is registered, or a queue is there with other
                properties than these (`max_losses`, `config`).
            BusUnreachable: the broker is not there.
        """
        self._registry.must_have_some()
        self._declare(insist=True)
        with self._lock:
            if self._worker is not None:
                raise BadInput("This job queue runs already.", remedy="Stop it first.")
            self._worker = Worker(
                self._bus,
                self._queues,
                self._registry.handlers,
                workers=self._workers,
                prefetch=self._prefetch,
                share=self._registry.usual_share,
                patience=self._patience,
                observer=self._observer,
            )
        try:
            self._worker.start()
        except LabError:
            self.stop()
            raise

    def run(self) -> None:
        """Handle jobs until SIGTERM, SIGINT or `stop`; then finish or hand back, and close.

        Raises:
            BadInput, BusUnreachable: as `start`.
        """
        stop = self._stop = Stop()
        try:
            with signals_stop(stop.want):
                self.start()
                stop.wait()
        finally:
            self.close()

    def stop(self) -> bool:
        """Take no more jobs, hand back those that wait, let running handlers finish.

        It may be started again.

        Returns:
            Whether they have finished within `grace_s`. What still runs is not settled: once
            the bus is closed it comes again, to another replica.
        """
        self._stop.want()
        with self._lock:
            worker, self._worker = self._worker, None
        return worker.stop(self._grace_s) if worker else True

    def close(self) -> None:
        """Stop, and close the bus if `connect` or `from_settings` made it. Twice is no error."""
        if not self.stop():
            logger.warning(
                "Handlers still run after %g s: their jobs come again elsewhere.", self._grace_s
            )
        if self._owns_bus:
            self._bus.close()

    # Looking

    @property
    def failed(self) -> FailedJobs:
        """The jobs that have failed."""
        self._declare()
        return FailedJobs(self._bus, self._queues)

    def counts(self) -> Counts:
        """How many jobs are in the queues; those in a handler's hands, or delayed, are not.

        Raises:
            BusUnreachable: the broker is not there.
        """
        self._declare()
        queues = self._queues
        return Counts(
            *(self._bus.count(name) for name in (queues.work, queues.slow, queues.failed))
        )

    def check(self, timeout_s: float = 5.0) -> None:
        """Return if the broker answers: what a health check asks.

        Raises:
            BusUnreachable: it does not.
        """
        self._bus.check(timeout_s)

    def _declare(self, *, insist: bool = False) -> None:
        """Make the queues unless they are there.

        Who handles jobs insists that they are as its promises need them; who only queues or
        looks takes them as they are, if they are there.
        """
        if not self._auto_create or (self._declared and not insist):
            return
        kind = {name: value for name, value in self._config.items() if not name.startswith(LETS_GO)}
        specs = [QueueSpec(self._queues.failed, kind)]
        for name in (self._queues.work, self._queues.slow):
            specs.append(QueueSpec(name, self._config, self._queues.failed, self._max_losses))
        with self._lock:
            for spec in specs:
                try:
                    self._bus.declare(spec)
                except BadInput as error:
                    if insist or not self._is_there(spec.name):
                        raise
                    logger.info("Used as it is: %s", error)
            self._declared = True

    def _is_there(self, queue: str) -> bool:
        try:
            self._bus.count(queue)
        except NoSuchQueue:
            return False
        return True


def _can_be_a_name(name: str) -> bool:
    """Printable, since the broker would leave a line's end out; and not half a character."""
    return bool(name) and name.isprintable() and len(name.encode()) <= LONGEST_NAME_B


def _must_be(holds: bool, name: str, what: str, value: object) -> None:
    if not holds:
        raise BadInput(f"{name} must be {what} (not {value!r}).", remedy="Change it.")
