"""What `benchmarks.jobs` measures: programs that queue so many jobs that do nothing, or do them.

Each is a process of its own, and gets where its broker is, the queue, and how many jobs. It
prints one line `rate N`: jobs a second, from the first to the last. All use quorum queues,
persistent messages, a confirm for each publish and an acknowledgement for each job once it
is done; RQ has a Redis, and none of that. `queue` makes a queue; `queue-…` fills it,
measured; `work-…` empties it, measured.
"""

from __future__ import annotations

import itertools
import json
import logging
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from labs.job_queue.service import JobQueue

QUORUM = {"x-queue-type": "quorum"}
JOB = {"job_type": "nothing", "version": "1.0.0", "deployment": "42"}
BATCH = 1000
WARM_UP = 100
"""So many jobs are queued before the clock starts: queues that were just made are slow at first."""
PREFETCH = 100


def said(jobs: int, began_s: float) -> None:
    """Print the rate."""
    print(f"rate {jobs / (time.perf_counter() - began_s):.1f}", flush=True)


class Clock:
    """Counts jobs in whatever thread; ends the process with the last, its rate printed."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._count = itertools.count()
        self._began_s = 0.0

    def tick(self) -> bool:
        """One more was done."""
        number = next(self._count)
        if number == 0:
            self._began_s = time.perf_counter()
        if number == self._jobs - 1:
            said(number, self._began_s)
            os._exit(0)
        return True


def warm_up(publish: Callable[[], object]) -> None:
    """Queue the first jobs, which are not counted."""
    for _ in range(WARM_UP):
        publish()


def ours(url: str, name: str) -> JobQueue:
    """Our job queue, with the defaults of its constructor but for the prefetch."""
    return JobQueue.connect(url, name, prefetch=PREFETCH)


def queue_ours(url: str, name: str, jobs: int) -> None:
    """`queue_job`, one after the other."""
    jobs_queue = ours(url, name)
    warm_up(lambda: jobs_queue.queue_job(JOB))
    began_s = time.perf_counter()
    for _ in range(jobs):
        jobs_queue.queue_job(JOB)
    said(jobs, began_s)
    jobs_queue.close()


def queue_ours_in_batches(url: str, name: str, jobs: int) -> None:
    """`queue_jobs`, a thousand at a time."""
    jobs_queue = ours(url, name)
    warm_up(lambda: jobs_queue.queue_job(JOB))
    began_s = time.perf_counter()
    for _ in range(jobs // BATCH):
        jobs_queue.queue_jobs([JOB] * BATCH)
    said(jobs, began_s)
    jobs_queue.close()


def work_ours(url: str, name: str, jobs: int) -> None:
    """A replica with the default number of workers."""
    clock = Clock(jobs)
    jobs_queue = ours(url, name)
    jobs_queue.register_job_handler("nothing", lambda _: clock.tick())
    jobs_queue.start()
    time.sleep(600)  # the last job ends it


def bare(url: str, name: str) -> Any:
    """A channel of pika's, and the queue."""
    import pika

    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.queue_declare(name, durable=True, arguments=QUORUM)
    return channel


def queue_bare(url: str, name: str, jobs: int) -> None:
    """`basic_publish` on a channel with confirms."""
    import pika

    channel = bare(url, name)
    channel.confirm_delivery()
    body, properties = json.dumps(JOB).encode(), pika.BasicProperties(delivery_mode=2)

    def publish() -> None:
        channel.basic_publish("", name, body, properties, mandatory=True)

    warm_up(publish)
    began_s = time.perf_counter()
    for _ in range(jobs):
        publish()
    said(jobs, began_s)


def work_bare(url: str, name: str, jobs: int) -> None:
    """The careful loop by hand: the work in a thread, so that heartbeats go on."""
    clock, channel = Clock(jobs), bare(url, name)
    channel.basic_qos(prefetch_count=PREFETCH)
    inbox: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()

    def work() -> None:
        while True:
            tag, body = inbox.get()
            json.loads(body)
            channel.connection.add_callback_threadsafe(lambda tag=tag: channel.basic_ack(tag))
            clock.tick()

    threading.Thread(target=work, daemon=True).start()
    channel.basic_consume(name, lambda _, method, __, body: inbox.put((method.delivery_tag, body)))
    channel.start_consuming()


def dramatiq_actor(url: str, name: str, work: Callable[[], object]) -> tuple[Any, Any]:
    """A Dramatiq broker with its default middleware, on quorum queues, and an actor."""
    import dramatiq
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    class QuorumBroker(RabbitmqBroker):
        def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
            arguments: dict[str, Any] = super()._build_queue_arguments(queue_name)  # type: ignore[no-untyped-call]
            return arguments | QUORUM

    broker = QuorumBroker(url=url, confirm_delivery=True)

    @dramatiq.actor(actor_name="nothing", queue_name=name, broker=broker)
    def nothing(_: Any) -> None:
        work()

    return broker, nothing


def queue_dramatiq(url: str, name: str, jobs: int) -> None:
    """`send`, one after the other."""
    _, actor = dramatiq_actor(url, name, lambda: None)
    warm_up(lambda: actor.send(JOB))
    began_s = time.perf_counter()
    for _ in range(jobs):
        actor.send(JOB)
    said(jobs, began_s)


def work_dramatiq(url: str, name: str, jobs: int) -> None:
    """A worker with the default number of threads."""
    from dramatiq import Worker

    broker, _ = dramatiq_actor(url, name, Clock(jobs).tick)
    Worker(broker).start()
    time.sleep(600)  # the last job ends it


def celery_task(url: str, name: str, work: Callable[[], object]) -> tuple[Any, Any]:
    """A Celery application that acknowledges late, on a quorum queue, and a task."""
    import kombu
    from celery import Celery  # type: ignore[import-untyped]

    parts: Any = kombu  # it exports its names lazily, which hides their types

    app = Celery("benchmark", broker=url, set_as_current=True)
    app.conf.update(
        task_queues=[parts.Queue(name, routing_key=name, queue_arguments=QUORUM)],
        task_default_queue=name,
        task_ignore_result=True,
        task_acks_late=True,
        broker_transport_options={"confirm_publish": True},
        worker_prefetch_multiplier=PREFETCH,
        worker_enable_remote_control=False,
        worker_redirect_stdouts=False,
    )

    @app.task(name="nothing")  # type: ignore[untyped-decorator]
    def nothing(_: Any) -> None:
        work()

    return app, nothing


def queue_celery(url: str, name: str, jobs: int) -> None:
    """`delay`, one after the other."""
    _, task = celery_task(url, name, lambda: None)
    warm_up(lambda: task.delay(JOB))
    began_s = time.perf_counter()
    for _ in range(jobs):
        task.delay(JOB)
    said(jobs, began_s)


def work_celery(url: str, name: str, jobs: int) -> None:
    """A worker of one process."""
    run_celery(url, name, Clock(jobs).tick, "--pool=solo")


def work_celery_prefork(url: str, name: str, jobs: int) -> None:
    """A worker with as many processes as the machine has cores, which is its default."""
    count = multiprocessing.Value("i", 0)
    began_s = multiprocessing.Value("d", 0.0)

    def tick() -> None:
        with count.get_lock():
            count.value += 1
            if count.value == 1:
                began_s.value = time.perf_counter()
            if count.value == jobs:
                said(jobs - 1, began_s.value)
                os.killpg(0, signal.SIGKILL)  # the runner gave us a group of our own

    run_celery(url, name, tick, "--pool=prefork")


def run_celery(url: str, name: str, work: Callable[[], object], pool: str) -> None:
    """Run a Celery worker that does nothing else."""
    app, _ = celery_task(url, name, work)
    flags = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
    app.worker_main(["worker", pool, f"--queues={name}", *flags])


def rq_queue(url: str, name: str) -> Any:
    """An RQ queue on the Redis at the URL."""
    import redis
    import rq

    return rq.Queue(name, connection=redis.Redis.from_url(url))


NOTHING = "benchmarks.jobs_programs.nothing"
"""By name: RQ takes no function of a program that runs as `__main__`."""


def nothing(_: Any) -> None:
    """The job of RQ's."""


def queue_rq(url: str, name: str, jobs: int) -> None:
    """`enqueue`, one after the other."""
    jobs_queue = rq_queue(url, name)
    began_s = time.perf_counter()
    for _ in range(jobs):
        jobs_queue.enqueue(NOTHING, JOB)
    said(jobs, began_s)


def work_rq(url: str, name: str, jobs: int) -> None:
    """A worker as `rq worker` starts it, which forks for each job."""
    import rq

    jobs_queue = rq_queue(url, name)
    worker = rq.Worker([jobs_queue], connection=jobs_queue.connection)
    began_s = time.perf_counter()
    worker.work(burst=True, logging_level="ERROR")
    said(jobs, began_s)


PROGRAMS: dict[str, Callable[[str, str, int], None]] = {
    "queue ours": queue_ours,
    "queue ours in batches": queue_ours_in_batches,
    "queue bare pika": queue_bare,
    "queue Dramatiq": queue_dramatiq,
    "queue Celery": queue_celery,
    "queue RQ": queue_rq,
    "work ours": work_ours,
    "work bare pika": work_bare,
    "work Dramatiq": work_dramatiq,
    "work Celery solo": work_celery,
    "work Celery prefork": work_celery_prefork,
    "work RQ": work_rq,
}


def main() -> None:
    """Run one: `python -m benchmarks.jobs_programs NAME QUEUE JOBS`, with the URL in BENCH_URL."""
    logging.disable(logging.CRITICAL)
    name, queue_name, jobs = sys.argv[1:]
    PROGRAMS[name](os.environ["BENCH_URL"], queue_name, int(jobs))


if __name__ == "__main__":
    main()
