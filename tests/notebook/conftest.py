"""A lab on the real broker, as a notebook would have it on a class server: a URL and no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.broker.address import Address
from labs.notebook import Lab


@pytest.fixture
def lab(vhost: Address, labs_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A notebook's lab in a virtual host of its own; nothing of it outlives the test."""
    assert labs_home
    monkeypatch.setenv("AMQP_URL", vhost.url)
    made = Lab("test-notebook")
    yield made
    made.clean_up()
