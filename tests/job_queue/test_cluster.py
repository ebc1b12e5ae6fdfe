"""A quorum queue on three nodes, of which one, its leader, dies in the middle of the work."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from labs.broker.binaries import Binaries
from labs.job_queue.bus import QueueSpec
from labs.job_queue.rabbitmq import RabbitBus
from labs.waiting import wait_until
from tests.job_queue.cluster import Cluster
from tests.job_queue.test_bus import SOON_S
from tests.job_queue.test_rabbitmq import Producer, Worker


def leader_of(cluster: Cluster, queue: str, through: str) -> str:
    said = cluster.control(
        *("list_queues", "name", "leader", "--formatter", "json"), through=through
    )
    return next(str(row["leader"]) for row in json.loads(said) if row["name"] == queue)


@pytest.mark.slow
def test_no_confirmed_message_is_lost_when_the_leader_dies_and_the_bus_goes_on(
    tmp_path: Path, binaries: Binaries
) -> None:
    with Cluster(tmp_path / "cluster", binaries) as cluster, ExitStack() as stack:
        urls = [address.url for address in cluster.addresses]
        # Both are connected to the first node, where they declare the queue and it has its leader.
        producing, consuming = RabbitBus(urls, confirm_timeout_s=3.0), RabbitBus(urls)
        for bus in (producing, consuming):
            stack.callback(bus.close)
        producing.declare(QueueSpec("work"))
        producer, worker = Producer(producing), Worker(consuming)
        consuming.consume("work", worker, prefetch=20)
        stack.callback(producer.is_enough.set)
        producer.start()
        wait_until(lambda: len(producer.confirmed) >= 50, SOON_S)
        leader = leader_of(cluster, "work", through=cluster.names[1])
        assert leader == cluster.names[0]

        cluster.kill(leader)

        before = len(producer.confirmed)
        wait_until(lambda: len(producer.confirmed) >= before + 50, 3 * SOON_S)
        producer.is_enough.set()
        producer.join()
        wait_until(lambda: set(producer.confirmed) <= set(worker.bodies), SOON_S)
        assert consuming.flush(SOON_S)
        assert leader_of(cluster, "work", through=cluster.names[1]) != leader
