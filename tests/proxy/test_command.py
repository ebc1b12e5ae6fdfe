"""`labs proxy` as a person and a script meet it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from labs.broker.address import Address, parse_amqp_url
from labs.broker.management import Management
from labs.journal import read_journals
from labs.waiting import wait_until
from tests import support
from tests.qprocessor import test_tls

TIMEOUT_S = 60
secure_broker = test_tls.secure_broker  # the fixture, for this file too


class Listening:
    """A `labs proxy` that runs."""

    def __init__(self, home: Path, *arguments: str, **environment: str) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if name != "AMQP_URL"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labs", "proxy", *arguments],
            env=kept | {"LABS_HOME": str(home), "COLUMNS": "200"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def address(self) -> Address:
        """Where it listens, password included."""
        return parse_amqp_url(wait_until(self._url, TIMEOUT_S, what="the proxy"))

    def end(self, how: signal.Signals = signal.SIGINT) -> str:
        """End it; what it printed."""
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        assert err == ""
        return out

    def _url(self) -> str:
        if self.process.poll() is not None:
            raise AssertionError(self.process.communicate())
        file = self.home / "proxy-url"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def secret(vhost: Address, broker: Address) -> Address:
    """A user whose password can be searched for."""
    password = secrets.token_hex(8)
    with Management(broker) as management:
        management.create_user(vhost.username, password=password)
    return replace(vhost, password=password)


@pytest.fixture
def listening(tmp_path: Path, secret: Address) -> Iterator[Listening]:
    proxy = Listening(tmp_path, "--to", secret.url, "--record", str(tmp_path / "talk.jsonl"))
    yield proxy
    proxy.process.kill()
    proxy.process.communicate()


def failed(home: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and the words of a `labs proxy` that cannot begin."""
    proxy = Listening(home, *arguments)
    _, said = proxy.process.communicate(timeout=TIMEOUT_S)
    assert "Traceback" not in said
    return proxy.process.returncode, said


def test_it_shows_what_passes_and_keeps_it(listening: Listening, tmp_path: Path) -> None:
    support.declare(listening.address, "hello")
    support.publish(listening.address, "hello", ["world"])

    shown = listening.end()

    assert listening.process.returncode == 0
    assert f":{parse_port(shown)}/" in shown
    assert "→ queue.declare queue=hello durable=True" in shown
    assert "→ basic.publish routing_key=hello mandatory=True: 'world' delivery_mode=1" in shown
    assert "← basic.ack delivery_tag=1" in shown
    assert shown.endswith(f"See it: labs draw {tmp_path / 'talk.jsonl'}\n")
    (events,) = read_journals(tmp_path / "talk.jsonl")
    assert events[0].name == "listening"
    bodies = [event.data["text"] for event in events if event.name == "body"]
    assert bodies == ["world"]


def parse_port(shown: str) -> int:
    (line,) = [line for line in shown.splitlines() if "connect to" in line]
    return parse_amqp_url(line.split()[-1]).port


def test_the_password_is_in_one_private_file_and_nowhere_else(
    listening: Listening, secret: Address, tmp_path: Path
) -> None:
    file = tmp_path / "proxy-url"
    support.declare(listening.address, "hello")
    assert listening.address.password == secret.password
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    shown = listening.end(signal.SIGTERM)

    assert listening.process.returncode == 128 + signal.SIGTERM
    assert not file.exists()
    record = (tmp_path / "talk.jsonl").read_text()
    assert "queue.declare" in record  # written out, though it was asked to end
    assert secret.password not in shown + record


def test_a_script_gets_json_and_chooses_the_port(vhost: Address, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    proxy = Listening(tmp_path, "--json", "--no-bodies", "--port", str(port), AMQP_URL=vhost.url)
    support.declare(proxy.address, "hello")
    support.publish(proxy.address, "hello", ["world"])

    events = [json.loads(line) for line in proxy.end().splitlines()]

    assert (events[0]["name"], events[0]["data"]["port"]) == ("listening", port)
    assert [e["data"] for e in events if e.get("name") == "body"] == [{"size": 5}]


def test_a_broker_that_needs_tls_is_reached_from_a_program_that_has_none(
    secure_broker: test_tls.SecureBroker, tmp_path: Path
) -> None:
    trusting = {"SSL_CERT_FILE": str(secure_broker.authority)}
    proxy = Listening(tmp_path, "--to", secure_broker.secure.url, **trusting)

    support.declare(proxy.address, "hello")

    assert "→ queue.declare queue=hello" in proxy.end()
    assert support.count(secure_broker.plain, "hello") == 0


def test_a_broker_that_is_away_or_refuses_is_told_in_a_sentence(
    vhost: Address, tmp_path: Path
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        nobody = free.getsockname()[1]

    code, said = failed(tmp_path, "--to", replace(vhost, port=nobody).url)
    assert (code, "the connection was refused" in said) == (4, True)

    code, said = failed(tmp_path, "--to", replace(vhost, password="wrong").url)
    assert (code, "The broker refused the login" in said) == (4, True)


def test_no_broker_at_all_is_told_with_what_to_do(tmp_path: Path) -> None:
    code, said = failed(tmp_path)

    assert (code, "labs up" in said, "--to" in said) == (3, True, True)


def test_a_taken_port_is_told_with_what_to_do(vhost: Address, tmp_path: Path) -> None:
    code, said = failed(tmp_path, "--to", vhost.url, "--port", str(vhost.port))

    assert (code, f"Port {vhost.port} cannot be had" in said, "--port" in said) == (2, True, True)
