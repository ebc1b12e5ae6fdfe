"""A qprocessor at hand, and a broker that a test may kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.broker.address import Address
from labs.broker.binaries import Binaries
from labs.broker.node import PrivateNode
from labs.broker.ports import free_port
from tests.qprocessor.running import Qprocessor


@pytest.fixture
def qprocessor(vhost: Address, tmp_path: Path) -> Iterator[Qprocessor]:
    """qprocessor.py in the test's virtual host."""
    starter = Qprocessor(tmp_path, vhost.url)
    yield starter
    starter.end_all()


@pytest.fixture(scope="package")
def own_node(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """A broker for these tests alone, which may be killed; it soon misses an acknowledgement."""
    node = PrivateNode(
        tmp_path_factory.mktemp("own") / "node",
        binaries=binaries,
        amqp_port=free_port(),  # the same after a kill, for workers that come back to it
        extra_config="consumer_timeout = 3000\n",
        management=False,  # with it, an orderly stop of RabbitMQ 3.10 takes five seconds more
    )
    node.start()
    yield node
    node.wipe()


@pytest.fixture
def own_address(own_node: PrivateNode) -> Address:
    """Where the broker of one's own is; it runs, whatever an earlier test did to it."""
    return own_node.start()


@pytest.fixture
def own_qprocessor(own_address: Address, tmp_path: Path) -> Iterator[Qprocessor]:
    """qprocessor.py on the broker of one's own."""
    starter = Qprocessor(tmp_path, own_address.url)
    yield starter
    starter.end_all()
