"""The workers to which messages can be pushed: one for each build cluster, of one kind.

Each function takes what a kind needs and gives what makes the worker of a cluster. Behind
RabbitMQ a message is published with its build cluster as routing key; scripts find their name in
the message's body (`file_name`, or `command`), Argo its workflow (`submit_body`): a start keeps
the fields that it does not know.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from labs.task_queue.workers.argo import ArgoWorker
from labs.task_queue.workers.process import ProcessWorker
from labs.task_queue.workers.rabbit import RabbitWorker
from labs.task_queue.workers.rabbit_route import Route

EXCHANGE = "builds"


def rabbit_workers(
    url: str, *, exchange: str = EXCHANGE, name: str | None = None, make_queues: bool = True
) -> Callable[[str], RabbitWorker]:
    """Messages go to whoever consumes the cluster's queue on RabbitMQ.

    Args:
        url: the broker.
        exchange: a topic exchange; the routing key is the cluster (`buildClusterName`).
        name: of this dispatcher among those at the exchange, the same after a restart. None:
            this machine's.
        make_queues: make a queue `<exchange>.<cluster>` for each cluster. False: its consumers
            bind their own; while there is none, an attempt fails with a sentence.

    Raises:
        BadInput: by what is made: it is no AMQP URL, or a name can't be one.
    """
    named = socket.gethostname() if name is None else name

    def worker(cluster: str) -> RabbitWorker:
        queues = (cluster,) if make_queues else ()
        route = Route(exchange, lambda _: cluster, queues)
        return RabbitWorker(url, name=f"{named}.{cluster}" if cluster else named, route=route)

    return worker


def process_workers(folder: Path, *, state: Path) -> Callable[[str], ProcessWorker]:
    """Messages name scripts of a folder, which run on this machine.

    Args:
        folder: where the scripts are.
        state: where each cluster's jobs are kept, in a folder of its own.
    """

    def worker(cluster: str) -> ProcessWorker:
        return ProcessWorker(folder, state=state / f"cluster-{quote(cluster, safe='')}")

    return worker


def argo_workers(
    endpoint: str, namespace: str, *, name: str | None = None, token: str | None = None
) -> Callable[[str], ArgoWorker]:
    """Messages hold workflows, which run on Argo Workflows.

    Args:
        name: of this dispatcher among those that use the namespace, the same after a restart.
    """
    named = socket.gethostname() if name is None else name

    def worker(cluster: str) -> ArgoWorker:
        whose = f"{named}/{cluster}" if cluster else named
        return ArgoWorker(whose, endpoint, namespace, token=token)

    return worker
