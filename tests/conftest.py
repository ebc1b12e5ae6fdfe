"""What the tests share: one real broker a run, one fresh virtual host a test.

`LABS_TEST_BROKER_URL` and `LABS_TEST_MANAGEMENT_URL` point the same tests at
another broker, whose user must be an administrator. Without a RabbitMQ the tests
that need one are skipped at home, and fail in CI, where nothing may be missing.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from labs.broker.address import Address, parse_amqp_url
from labs.broker.binaries import Binaries, installed
from labs.broker.management import Management
from labs.broker.node import PrivateNode


def pytest_configure() -> None:
    """Heed Ctrl-C though the run is in the background, where a shell has it ignored.

    All that a run starts inherits that, and tests press Ctrl-C.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class FilesSideBySide(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """A file's tests share what they started, so they stay together; so do all of Docker's.

    There is one Docker engine.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "docker" if "/docker/" in nodeid else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesSideBySide:
    """How `make test` shares the tests out."""
    return FilesSideBySide(config, log)


def missing(what: str) -> NoReturn:
    """Skip the test for want of something; in CI, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and in CI nothing may be missing")
    pytest.skip(what)


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """The RabbitMQ installed on this machine."""
    found = installed()
    if found is None:
        missing("no rabbitmq-server is installed")
    return found


@pytest.fixture(scope="session")
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Address]:
    """A real broker's administrator; a private node for the whole run unless one is given."""
    if url := os.environ.get("LABS_TEST_BROKER_URL"):
        management = os.environ.get("LABS_TEST_MANAGEMENT_URL")
        yield replace(parse_amqp_url(url), management_url=management)
        return
    found: Binaries = request.getfixturevalue("binaries")
    node = PrivateNode(tmp_path_factory.mktemp("broker") / "node", binaries=found)
    yield node.start()
    node.wipe()


@pytest.fixture
def vhost(broker: Address) -> Iterator[Address]:
    """A virtual host of the test's own, as a user who may do everything in it and nothing else."""
    name = f"test-{secrets.token_hex(4)}"
    with Management(broker) as management:
        management.create_vhost(name)
        management.create_user(name, password=name)
        management.set_permissions(name, name)
        yield replace(broker, vhost=name, username=name, password=name)
        management.delete_vhost(name)
        management.delete_user(name)


@pytest.fixture
def labs_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.labs` folder of the test's own; `AMQP_URL` is taken out of the environment."""
    home = tmp_path / "labs home"
    monkeypatch.setenv("LABS_HOME", str(home))
    monkeypatch.delenv("AMQP_URL", raising=False)
    return home
