"""A proxy before the tests' broker, and its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from labs.broker.address import Address
from labs.journal import Journal
from labs.proxy.server import Proxy, Upstream

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


def through(address: Address, port: int) -> Address:
    """The same broker, by way of this loopback port."""
    return replace(address, host="127.0.0.1", port=port)
