"""The private node: what it promises, and what it does when things go wrong.

One node, in a folder whose path has a space, is shared by the tests that only look;
the others start their own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from labs.broker import ports, processes
from labs.broker.address import Address
from labs.broker.binaries import Binaries
from labs.broker.connection import log_in
from labs.broker.deaths import DEATHS, PortTaken, death_of
from labs.broker.management import Management
from labs.broker.node import PrivateNode
from labs.broker.nodefiles import MARKER, NodeFiles, NodePorts
from labs.errors import BrokerFailed, BrokerUnreachable
from tests import support


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, binaries: Binaries) -> Iterator[PrivateNode]:
    node = PrivateNode(tmp_path_factory.mktemp("a folder, ü") / "node", binaries=binaries)
    node.start()
    yield node
    node.wipe()


@pytest.fixture
def address(node: PrivateNode) -> Address:
    assert node.address is not None
    return node.address


@pytest.fixture
def other(tmp_path: Path, binaries: Binaries) -> Iterator[PrivateNode]:
    """A node of the test's own, not started."""
    node = PrivateNode(tmp_path / "node", binaries=binaries)
    yield node
    node.wipe()


def alive(node: PrivateNode) -> list[psutil.Process]:
    return [found for found in processes.carrying(MARKER, str(node.home)) if processes.lives(found)]


def test_ready_means_that_one_can_log_in_and_the_management_api_answers(address: Address) -> None:
    assert log_in(address).product == "RabbitMQ"
    with Management(address) as management:
        assert "administrator" in management.whoami()["tags"]


def test_guest_is_not_there(address: Address) -> None:
    with pytest.raises(BrokerUnreachable, match="refused the login"):
        log_in(replace(address, username="guest", password="guest"))


def test_everything_listens_on_loopback_and_below_the_ephemeral_ports(node: PrivateNode) -> None:
    listening = [
        connection.laddr
        for process in alive(node)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]

    # AMQP, management, distribution, epmd
    assert len({where.port for where in listening}) == 4
    assert {where.ip for where in listening} <= {"127.0.0.1", "::1"}
    assert all(where.port < 32768 for where in listening)


def test_secrets_are_readable_by_their_owner_alone(node: PrivateNode) -> None:
    secret = [".erlang.cookie", "login.json", "node.json", "etc/rabbitmq.conf"]

    for path in [node.home, *(node.home / name for name in secret)]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_password_is_random_and_in_no_log(node: PrivateNode, address: Address) -> None:
    assert len(address.password) >= 20
    assert address.password not in node.files.said()
    assert address.password not in repr(address)


def test_starting_a_node_that_runs_changes_nothing(node: PrivateNode, address: Address) -> None:
    before = node.pid

    assert PrivateNode(node.home).start() == address
    assert node.pid == before


def test_a_queue_as_in_every_tutorial_can_be_declared(address: Address) -> None:
    from labs.broker.connection import connected

    with connected(address) as connection:
        connection.channel().queue_declare(queue="hello")


def test_a_node_is_killed_forgotten_and_comes_back_with_what_was_safe(
    node: PrivateNode, other: PrivateNode
) -> None:
    # given a node beside another, with a persistent message
    address = other.start()
    assert address != node.address
    support.declare(address, "kept", durable=True)
    support.publish(address, "kept", ["safe"], persistent=True)

    # when a torn file makes us forget what runs: stopping ends it all the same
    remembered = (other.home / "node.json").read_text()
    (other.home / "node.json").write_text("{torn")
    assert not other.is_running()
    assert alive(other)
    other.kill()
    assert alive(other) == []

    # and when its password is lost too
    (other.home / "node.json").write_text(remembered)
    (other.home / "login.json").write_text("")

    # then it starts again where it was, with a new password, and the message is there
    again = other.start()
    assert again.port == address.port
    assert again.password != address.password
    assert support.count(again, "kept") == 1
    other.stop()
    assert alive(other) == []
    assert node.is_running()


def test_a_port_taken_between_look_and_bind_is_left_to_whoever_took_it(
    other: PrivateNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        choices = iter([NodePorts(taken, *(ports.free_port() for _ in range(3)))])
        choose = PrivateNode._choose_ports

        def race(self: PrivateNode, preferred: list[NodePorts]) -> NodePorts:
            return next(choices, None) or choose(self, preferred)

        monkeypatch.setattr(PrivateNode, "_choose_ports", race)
        said: list[str] = []

        address = other.start(said.append)

    assert address.port != taken
    assert any("took a port" in line for line in said)
    assert log_in(address)


def test_a_port_that_was_asked_for_and_is_taken_is_said_at_once(
    tmp_path: Path, binaries: Binaries
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        with pytest.raises(BrokerFailed, match=f"Port {taken} is taken"):
            PrivateNode(tmp_path / "node", binaries=binaries, amqp_port=taken).start()


def test_a_node_that_can_not_start_says_why_in_the_words_of_its_log(
    tmp_path: Path, binaries: Binaries
) -> None:
    broken = PrivateNode(tmp_path / "node", binaries=binaries, extra_config="no.such.key = 1")

    with pytest.raises(BrokerFailed, match=r"no\.such\.key") as caught:
        broken.start()

    assert "--wipe" in caught.value.remedy
    assert alive(broken) == []


def test_a_stranger_who_got_the_process_id_is_not_harmed(other: PrivateNode) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        recorded = {"pid": stranger.pid, "started": time.time() - 3600}
        other.home.mkdir(parents=True)
        known = {"ports": dict.fromkeys(("amqp", "management", "distribution", "epmd"), 1)}
        (other.home / "node.json").write_text(json.dumps(known | {"server": recorded}))

        assert not other.is_running()
        other.stop()
        other.kill()

        assert stranger.poll() is None
        stranger.terminate()


def test_a_path_that_rabbitmq_can_not_bear_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BrokerFailed, match="can't work in a folder") as caught:
        PrivateNode(tmp_path / "Ann's" / "node").start()

    assert "LABS_HOME" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_said_with_what_to_do(tmp_path: Path, binaries: Binaries) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount here")
    try:
        with pytest.raises(BrokerFailed, match="MB are free") as caught:
            PrivateNode(disk / "node", binaries=binaries).start()
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert "Make room" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_while_the_node_starts_is_told_from_its_log(
    tmp_path: Path, binaries: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount here")
    monkeypatch.setattr("labs.broker.node.ROOM_NEEDED_B", 0)
    broken = PrivateNode(disk / "node", binaries=binaries)
    try:
        with pytest.raises((BrokerFailed, OSError)) as caught:
            broken.start()
    finally:
        left = alive(broken)
        subprocess.run(["umount", "--lazy", str(disk)], check=True)

    assert left == []
    assert "space" in str(caught.value).lower() or "disk is full" in str(caught.value)


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.what)
def test_each_known_death_is_recognised_by_its_mark(death: object, tmp_path: Path) -> None:
    from labs.broker.deaths import Death

    assert isinstance(death, Death)
    files = NodeFiles(tmp_path)
    files.log.parent.mkdir()
    files.log.write_text(f"starting\n{death.marks[0]}\n" + "stopping\n" * 30)

    told = death_of(files)

    assert type(told) is death.kind
    assert death.what in str(told)
    assert told.remedy == death.remedy
    assert isinstance(told, PortTaken) == ("port" in death.what)


def test_wiping_removes_every_trace(other: PrivateNode, binaries: Binaries) -> None:
    other.files.write(NodePorts(1, 2, 3, 4), binaries, "")

    other.wipe()

    assert not other.home.exists()
    assert shutil.disk_usage(other.home.parent)  # the folder around it stays


def test_the_version_is_read_from_the_files_of_the_installation(binaries: Binaries) -> None:
    said = subprocess.run(
        binaries.command("rabbitmqctl", "version"), capture_output=True, text=True, check=False
    ).stdout.strip()

    assert binaries.version
    assert said in ("", binaries.version)
