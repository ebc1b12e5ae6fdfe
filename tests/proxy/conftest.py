"""A proxy before the tests' broker, and its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from labs.broker.address import Address
from labs.journal import Journal
from labs.proxy.server import Proxy, Upstream
from tests.proxy.tap import Tap

StartProxy = Callable[..., Proxy]


@pytest.fixture
def journal() -> Journal:
    """What the proxies of this test write."""
    return Journal()


@pytest.fixture
def start_proxy(vhost: Address, journal: Journal) -> Iterator[StartProxy]:
    """Start a proxy before the broker, or before another port, for the length of the test."""
    with ExitStack() as stack:

        def start(*, port: int = vhost.port, **options: Any) -> Proxy:
            return stack.enter_context(Proxy(Upstream(vhost.host, port), journal, **options))

        yield start


@dataclass(frozen=True)
class Tapped:
    """A proxy between two taps."""

    address: Address
    """The broker, by way of tap, proxy and tap."""
    proxy: Proxy
    near: Tap
    far: Tap

    def assert_transparent(self, connections: int = 1) -> None:
        """All connections are over, and what came out of the proxy is what went in."""
        self.near.wait_until_quiet()
        self.far.wait_until_quiet()
        assert len(self.near.to_broker) == connections
        assert sorted(self.near.to_broker) == sorted(self.far.to_broker)
        assert sorted(self.near.to_client) == sorted(self.far.to_client)
        assert all(self.near.to_broker)


@pytest.fixture
def tapped(vhost: Address, journal: Journal) -> Iterator[Tapped]:
    """A proxy without faults before the broker, a tap before it and one behind it."""
    with tapping(vhost, journal) as tapped:
        yield tapped


@contextmanager
def tapping(address: Address, journal: Journal) -> Iterator[Tapped]:
    """The same before any broker."""
    with (
        Tap(address.port) as far,
        Proxy(Upstream("127.0.0.1", far.port), journal) as proxy,
        Tap(proxy.open("A")) as near,
    ):
        yield Tapped(through(address, near.port), proxy, near, far)


def through(address: Address, port: int) -> Address:
    """The same broker, by way of this loopback port."""
    return replace(address, host="127.0.0.1", port=port)
