"""Dispatch by push: messages are claimed cluster by cluster, and handed to a worker that runs them.

Each build cluster has a controller and a worker of its own, in a thread of its own: one that is
out of reach, or full, keeps nobody else waiting. A claim waits at the service for the next
message, so one is pushed as soon as nothing blocks it, and nothing is asked in vain. What runs
when it stops goes on at the worker; a dispatcher whose worker has the same name takes it up again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from labs.errors import BadInput
from labs.queue_service.push import Door, MessageTasks
from labs.stopping import Stop
from labs.task_queue.controller import Controller, Round
from labs.task_queue.release import ProcessingLimit
from labs.task_queue.tasks import admitted_count, admitted_number
from labs.task_queue.work_queue import WorkQueue
from labs.task_queue.workers.base import Worker

LIMIT = 10
LEASE_S = 60.0
LOOK_S = 0.25

WorkerFor = Callable[[str], Worker]
"""Makes the worker of a cluster; `push_workers` has some."""
Teller = Callable[[str, Round], None]
"""Is told of each look: the cluster, and what it came to. By several threads."""


def dispatch(
    door: Door,
    worker_for: WorkerFor,
    stop: Stop,
    *,
    clusters: Sequence[str] = ("",),
    limit: int = LIMIT,
    lease_s: float = LEASE_S,
    look_s: float = LOOK_S,
    tell: Teller = lambda _cluster, _look: None,
) -> None:
    """Push messages until `stop` is wanted. What is out of reach is tried again, patiently.

    Args:
        door: the service, or its client.
        clusters: whose messages are pushed; `""`: those of no cluster.
        limit: so many of each cluster run at a time.
        lease_s: its claims end so long after this was last heard of; in a third of it a build
            that was stopped is noticed.
        look_s: a claim waits so long at the service; outcomes are looked for so often.

    Raises:
        BadInput: an argument can't be meant.
        LabError: the service is none, or lets us in no more.
    """
    admitted_count(limit, "limit", 1)
    admitted_number(look_s, "look_s", 0.001)
    if not clusters or len(set(clusters)) != len(clusters):
        raise BadInput(
            "It is not said of which clusters messages are to be pushed, or one is named twice.",
            remedy='Name each once; "" is for messages of no cluster.',
        )
    failed: list[BaseException] = []

    def run(cluster: str, work_queue: WorkQueue) -> None:
        controller = Controller(
            work_queue,
            ProcessingLimit(limit, own=True),
            look_s,
            first_pause_s=look_s,
            tell=lambda look: tell(cluster, look),
        )
        try:
            controller.run(stop)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for us
            failed.append(error)
            stop.want()

    threads = []
    with ExitStack() as workers:
        for cluster in clusters:
            worker = worker_for(cluster)
            if close := getattr(worker, "close", None):
                workers.callback(close)
            tasks = MessageTasks(door, cluster, wait_s=look_s)
            work_queue = WorkQueue(tasks, worker, lease_s=lease_s)
            threads.append(threading.Thread(target=run, args=(cluster, work_queue)))
        for thread in threads:
            thread.start()
        try:
            stop.wait()
        finally:
            stop.want()
            for thread in threads:
                thread.join()
    if failed:
        raise failed[0]
