"""The broker in a container, from compose file to a worked message, on a real engine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from docker.models.containers import Container

from labs.broker import ports
from labs.broker.address import Address
from labs.broker.connection import log_in
from labs.broker.container import ComposeBroker
from labs.broker.container import engine as docker_engine
from labs.errors import BrokerFailed, BrokerUnreachable
from tests.support import count, declare, publish

pytestmark = pytest.mark.slow


@pytest.fixture
def container(checkout: Path) -> ComposeBroker:
    return ComposeBroker(checkout)


def test_from_compose_file_to_a_worked_message(running: ComposeBroker) -> None:
    address = address_of(running)
    declare(address, "hello")
    publish(address, "hello", ["ping"])

    done = worker(running.root, address)

    assert done.stdout.splitlines().count(" [x] Done ping") == 1
    assert count(address, "hello") == 0
    # The first line of every tutorial works, whatever the version.
    declare(address, "transient", durable=False)


def test_it_is_reached_on_loopback_alone_by_its_own_user_alone(running: ComposeBroker) -> None:
    address = address_of(running)

    published = its_container(running).ports.values()
    assert published
    assert {binding["HostIp"] for bindings in published for binding in bindings or []} == {
        ports.LOOPBACK
    }
    assert (running.root / ".env").stat().st_mode & 0o777 == 0o600
    with pytest.raises(BrokerUnreachable):
        log_in(replace(address, username="guest", password="guest"))


def test_messages_outlive_a_restart_a_stop_and_the_container_itself(
    container: ComposeBroker,
) -> None:
    address = container.start()
    declare(address, "kept")
    publish(address, "kept", ["here"], persistent=True)

    assert container.restart() == address
    assert count(address, "kept") == 1

    container.stop()
    assert not container.is_running()
    its_container(container).remove()
    assert count(container.start(), "kept") == 1


def test_wiped_nothing_is_left_of_it(container: ComposeBroker) -> None:
    container.start()
    project = settings(container)["COMPOSE_PROJECT_NAME"]

    container.wipe()

    label: dict[str, str | list[str] | bool] = {"label": f"com.docker.compose.project={project}"}
    client = docker_engine()
    assert client.containers.list(all=True, filters=label) == []
    assert client.volumes.list(filters=label) == []


def test_a_broker_that_runs_is_left_alone(running: ComposeBroker) -> None:
    before = its_container(running).id

    assert running.start() == address_of(running)
    assert its_container(running).id == before


def test_a_port_that_is_taken_is_replaced(container: ComposeBroker) -> None:
    address = container.start()
    container.stop()
    with listening(address.port):
        elsewhere = container.start()

    assert elsewhere.port not in (address.port, 5672)
    assert elsewhere.port < 32768
    assert log_in(elsewhere).product == "RabbitMQ"


def test_an_env_file_made_anew_does_not_lock_the_data_out(container: ComposeBroker) -> None:
    address = container.start()
    declare(address, "old")
    container.stop()
    text = (container.root / ".env").read_text()
    (container.root / ".env").write_text(text.replace(address.password, "another"))

    again = container.start()

    assert again.password == "another"
    assert count(again, "old") == 0


def test_an_image_that_cannot_be_fetched_is_said_in_words(container: ComposeBroker) -> None:
    (container.root / ".env").write_text("RABBITMQ_IMAGE=localhost:1/no/such:image\n")

    with pytest.raises(BrokerFailed, match="could not fetch the image") as failed:
        container.start()

    assert "RABBITMQ_IMAGE" in failed.value.remedy


def test_a_broker_that_dies_at_its_start_is_quoted(container: ComposeBroker) -> None:
    configuration = container.root / "container" / "rabbitmq.conf"
    configuration.write_text("no_such_key = 1\n")

    with pytest.raises(BrokerFailed, match="no_such_key"):
        container.start()


def test_labs_up_and_down_with_docker(checkout: Path, tmp_path: Path) -> None:
    up = labs(checkout, tmp_path, "up", "--with", "docker")
    url = (tmp_path / "labs home" / "amqp-url").read_text().strip()
    running = ComposeBroker(checkout).is_running()

    down = labs(checkout, tmp_path, "down")

    assert (up.returncode, down.returncode) == (0, 0), up.stderr + down.stderr
    assert running
    assert settings(ComposeBroker(checkout))["RABBITMQ_PASSWORD"] in url
    assert settings(ComposeBroker(checkout))["RABBITMQ_PASSWORD"] not in up.stdout + up.stderr
    assert not ComposeBroker(checkout).is_running()


def test_who_may_not_talk_to_the_engine_is_told_how_to_be_let_in(
    engine: str, checkout: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can try it as somebody else")
    assert engine
    nobody = 65534
    code = (
        "import os, sys\n"
        "from labs.broker.container import engine\n"
        "from labs.errors import BrokerMissing\n"
        f"os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})\n"
        "try:\n    engine()\n"
        "except BrokerMissing as error:\n    print(error, error.remedy)\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=False
    )

    assert "you may not talk to it" in said.stdout, said.stderr
    assert "usermod -aG docker" in said.stdout


def address_of(broker: ComposeBroker) -> Address:
    assert broker.address is not None
    return broker.address


def settings(broker: ComposeBroker) -> dict[str, str]:
    lines = (broker.root / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def its_container(broker: ComposeBroker) -> Container:
    project = settings(broker)["COMPOSE_PROJECT_NAME"]
    label = f"com.docker.compose.project={project}"
    (found,) = docker_engine().containers.list(all=True, filters={"label": label})
    return found


@contextmanager
def listening(port: int) -> Iterator[None]:
    with socket.create_server((ports.LOOPBACK, port)):
        yield


def worker(root: Path, address: Address) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "qprocessor.py", "--acknowledge", "--delay", "0", "--max-messages", "1"],
        cwd=root,
        env=os.environ | {"AMQP_URL": address.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def labs(root: Path, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The `labs` command of the copied checkout, which `python -m` finds first."""
    environment = {name: text for name, text in os.environ.items() if name != "AMQP_URL"}
    return subprocess.run(
        [sys.executable, "-m", "labs", *arguments],
        cwd=root,
        env=environment | {"LABS_HOME": str(tmp_path / "labs home")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
