"""Brokers as they come out of their packages, without what ours are configured to permit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labs.broker.binaries import Binaries
from labs.broker.node import PrivateNode

AS_SHIPPED = "{permit_deprecated_features, #{}}"
REFUSING = "{permit_deprecated_features, #{transient_nonexcl_queues => false}}"
# The time for an acknowledgement is looked at once a minute; the tests can't wait so long.
IMPATIENT = "{consumer_timeout, 1000}, {channel_tick_interval, 500}, {quorum_tick_interval, 500}"


@pytest.fixture(scope="session")
def shipped(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """A node that permits what its version permits unasked, and times out after a second."""
    yield from _node(binaries, tmp_path_factory, f"{AS_SHIPPED}, {IMPATIENT}")


@pytest.fixture(scope="session")
def refusing(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """A node that refuses transient queues, as many a class server does."""
    yield from _node(binaries, tmp_path_factory, REFUSING)


def _node(
    binaries: Binaries, tmp_path_factory: pytest.TempPathFactory, settings: str
) -> Iterator[PrivateNode]:
    node = PrivateNode(tmp_path_factory.mktemp("broker") / "node", binaries=binaries)
    advanced = node.home / "etc" / "advanced.config"
    advanced.parent.mkdir(parents=True)
    advanced.write_text(f"[{{rabbit, [{settings}]}}].\n")  # wins over what rabbitmq.conf says
    node.start()
    yield node
    node.kill()  # nothing of it is needed: an orderly stop would take seconds
    node.wipe()
