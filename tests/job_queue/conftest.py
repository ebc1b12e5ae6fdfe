"""Grounds for the job queue's tests: a bus in memory or on RabbitMQ, whose cable can be cut.

`ground` gives a test each bus in turn; `rabbit` only the real one. A `Ground` makes as many
clients as a test wants, cuts their connections, and closes what is open at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import pytest

from labs.broker.address import Address
from labs.job_queue.bus import Bus
from labs.job_queue.memory import MemoryBroker, MemoryBus
from labs.job_queue.rabbitmq import RabbitBus
from labs.journal import Journal
from labs.proxy.server import Proxy, Upstream
from tests.job_queue.queues import Replicas


class Ground(Protocol):
    """Something with queues, and clients of it."""

    def connect(self) -> Bus:
        """One more client."""

    def cut(self) -> None:
        """Cut the connections of all clients."""


class MemoryGround:
    """A broker in memory."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.buses: list[MemoryBus] = []

    def connect(self) -> MemoryBus:
        """One more client."""
        self.buses.append(MemoryBus(self.broker))
        return self.buses[-1]

    def cut(self) -> None:
        """Cut the connections of all clients."""
        for bus in self.buses:
            bus.lose_connection()

    def close(self) -> None:
        """End all of it."""
        for bus in self.buses:
            bus.close()


class RabbitGround:
    """A virtual host of a RabbitMQ, behind a proxy."""

    def __init__(self, address: Address) -> None:
        self.journal = Journal()
        self.proxy = Proxy(Upstream(address.host, address.port), self.journal)
        self.proxy.__enter__()
        self.address = replace(address, host="127.0.0.1", port=self.proxy.open("bus"))
        self.buses: list[RabbitBus] = []

    def connect(self, **options: Any) -> RabbitBus:
        """One more client."""
        self.buses.append(RabbitBus(self.address.url, **options))
        return self.buses[-1]

    def cut(self) -> None:
        """Cut the connections of all clients."""
        self.proxy.cut("bus")

    def close(self) -> None:
        """End all of it."""
        for bus in self.buses:
            bus.close()
        self.proxy.__exit__(None, None, None)


@pytest.fixture
def rabbit(vhost: Address) -> Iterator[RabbitGround]:
    """A real broker's."""
    ground = RabbitGround(vhost)
    yield ground
    ground.close()


@pytest.fixture
def memory() -> Iterator[MemoryGround]:
    """One in memory."""
    ground = MemoryGround()
    yield ground
    ground.close()


@pytest.fixture(params=["memory", "rabbit"])
def ground(request: pytest.FixtureRequest) -> Ground:
    """Each of them in turn."""
    ground: Ground = request.getfixturevalue(request.param)
    return ground


@pytest.fixture
def replicas(ground: Ground) -> Iterator[Replicas]:
    """Job queues on each of the buses in turn, their attempts on record."""
    made = Replicas(ground)
    yield made
    made.close()
