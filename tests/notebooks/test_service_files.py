"""The files that keep a worker running: each is tried with the real thing, where that is here."""

from __future__ import annotations

import configparser
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import qprocessor
from labs.broker.address import Address
from labs.waiting import wait_until
from tests.conftest import missing
from tests.notebooks.desk import NOTEBOOKS, ROOT
from tests.support import count, publish
from tests.support import declare as declare_queue

FILES = NOTEBOOKS / "files"
LOOP = FILES / "keep-running.sh"
UNIT = FILES / "qprocessor.service"
COMPOSE = FILES / "restart-policy.compose.yml"
HOPELESS = {"tls_failed", "wrong_password", "no_vhost", "no_permission"}
HOPELESS |= {"transient_refused", "precondition_failed"}


def hopeless_codes() -> set[int]:
    """The exit codes of qprocessor that trying again won't change; 2 is a wrong flag."""
    return {2} | {qprocessor.kinds()[name].exit_code for name in HOPELESS}


@contextmanager
def loop(*command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The shell loop around a command; ended with the block, whatever happens."""
    process = subprocess.Popen(
        [str(LOOP), *command],
        env={**os.environ, "FIRST_PAUSE": "0.05", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def worker(address: Address, *flags: str) -> tuple[list[str], dict[str, str]]:
    """A careful qprocessor on the queue `work` as a command, and what its environment needs."""
    careful = ["--queue", "work", "--acknowledge", "--prefetch", "1"]
    command = [sys.executable, str(ROOT / "qprocessor.py"), *careful, *flags]
    return command, {"AMQP_URL": address.url}


def test_the_loop_brings_a_crashing_worker_back_until_all_is_done(vhost: Address) -> None:
    declare_queue(vhost, "work")
    publish(vhost, "work", ["one", "two", "three"], persistent=True)
    command, environment = worker(
        vhost, "--delay", "0.01", "--crash-every", "2", "--idle-timeout", "1"
    )
    with loop(*command, **environment) as running:
        said, told = running.communicate(timeout=60)
    assert running.returncode == 0
    assert [said.count(f"Done {body}\n") for body in ("one", "two", "three")] == [1, 1, 1]
    assert told.count("exit code 137: starting again") == 2
    assert "starting again in 0.05 s" in told
    assert "starting again in 0.1 s" in told, "the second pause is longer"
    assert count(vhost, "work") == 0


def test_stopping_the_loop_stops_the_worker_after_the_message_in_hand(vhost: Address) -> None:
    declare_queue(vhost, "work")
    publish(vhost, "work", ["0123456789", "never begun"])
    command, environment = worker(vhost, "--delay", "0.1")
    with loop(*command, **environment) as running:
        assert running.stdout is not None
        lines = iter(running.stdout.readline, "")
        assert any("Received 0123456789" in line for line in lines)
        running.send_signal(signal.SIGTERM)
        said, told = running.communicate(timeout=20)
    assert "Done 0123456789" in said
    assert "stopped as asked" in told
    assert running.returncode == 0
    wait_until(lambda: count(vhost, "work") == 1, 10)


def test_stopping_the_loop_in_a_pause_starts_nothing_any_more() -> None:
    with loop("false", FIRST_PAUSE="600") as running:
        assert running.stderr is not None
        assert "starting again in 600 s" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=20)
    assert "stopped as asked" in told


def test_the_loop_gives_up_on_what_never_passes(tmp_path: Path) -> None:
    for command, code in ((["sh", "-c", "exit 7"], 7), ([str(tmp_path / "no-such-program")], 127)):
        with loop(*command) as running:
            _, told = running.communicate(timeout=20)
        assert running.returncode == code
        assert "trying again won't help" in told


def test_the_loop_says_how_it_is_used() -> None:
    with loop() as running:
        _, told = running.communicate(timeout=20)
    assert running.returncode == 2
    assert "usage:" in told


def test_loop_and_unit_know_the_exit_codes_that_qprocessor_has() -> None:
    loops = LOOP.read_text(encoding="utf-8").split("GIVE_UP_ON:-")[1].split('"')[1].split()
    assert {int(code) for code in loops} == hopeless_codes() | {126, 127}
    units = unit()["Service"]["RestartPreventExitStatus"].split()
    assert {int(code) for code in units} == hopeless_codes()


def unit() -> configparser.ConfigParser:
    """The unit file, parsed."""
    parsed = configparser.ConfigParser(interpolation=None, strict=True)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their capitals
    parsed.read(UNIT, encoding="utf-8")
    return parsed


def test_the_unit_brings_the_worker_back_and_gives_it_time_to_stop() -> None:
    parsed = unit()
    assert parsed.sections() == ["Unit", "Service", "Install"]
    assert parsed["Service"]["Restart"] == "on-failure"
    assert parsed["Unit"]["StartLimitIntervalSec"] == "0"
    assert int(parsed["Service"]["TimeoutStopSec"]) > qprocessor.GRACE_S
    assert_flags_are_known(parsed["Service"]["ExecStart"].split()[1:])


def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here; the unit is parsed by the test above")
    # Verified as it would be installed: with a program that is there (and no space in its path).
    command = unit()["Service"]["ExecStart"].split()[0]
    text = UNIT.read_text(encoding="utf-8").replace(command, "/usr/bin/env")
    copy = tmp_path / "qprocessor.service"
    copy.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_compose_finds_no_fault_in_the_restart_policy() -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        missing("no docker-compose is installed")
    command = [compose, "-f", str(COMPOSE), "config"]
    environment = {**os.environ, "AMQP_URL": "amqp://broker/"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "restart: on-failure" in done.stdout
    assert "init: true" in done.stdout
    del environment["AMQP_URL"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "where is the broker?" in refused.stderr


def test_the_container_starts_the_worker_with_flags_that_it_knows() -> None:
    lines = COMPOSE.read_text(encoding="utf-8").splitlines()
    command = next(line for line in lines if line.strip().startswith("command:"))
    words = command.partition("[")[2].rstrip("]").replace('"', "").split(", ")
    assert_flags_are_known(words)
    dockerfile = (FILES / "qprocessor.Dockerfile").read_text(encoding="utf-8")
    assert "COPY qprocessor.py" in dockerfile
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "!qprocessor.py" in kept, "the image's context is the checkout"


def assert_flags_are_known(words: list[str]) -> None:
    """qprocessor takes these words as its command line."""
    context: Any = qprocessor.main.make_context("qprocessor.py", list(words))
    assert context.params["acknowledge"] is True
