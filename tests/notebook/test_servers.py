"""Servers of a lesson's own, and a lab that has no broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from labs.broker.state import ROOT
from labs.errors import NotPossibleHere
from labs.notebook import Lab
from labs.waiting import wait_until
from tests.conftest import missing


class NotInstalled:
    """A server whose program is not here."""

    def start(self) -> None:
        raise NotPossibleHere("There is no such server here.", remedy="Install it.")

    def close(self) -> None:
        raise AssertionError("what was not started is not ended")


class Running:
    """A server that notes what becomes of it."""

    def __init__(self) -> None:
        self.became: list[str] = []

    def start(self) -> None:
        self.became.append("started")

    def close(self) -> None:
        self.became.append("ended")


@pytest.fixture
def lab(labs_home: Path) -> Lab:
    """The lab of a lesson that needs no broker, where there is none."""
    assert labs_home
    return Lab("test-notebook", broker=False)


def test_without_a_broker_a_lab_starts_and_cleans_up_and_refuses_what_needs_one(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMQP_URL", "amqp://127.0.0.1:1/")  # nobody is there, and nobody is asked
    Lab("test-notebook", broker=False).clean_up()
    assert capsys.readouterr().out == "Cleaned up: nothing was left.\n"
    for asks in (lambda: lab.url, lambda: lab.fresh("work"), lab.wire, lab.restart_broker):
        with pytest.raises(NotPossibleHere):
            asks()
    assert not lab.needs("restart the broker")
    assert "no broker" in repr(lab)


def test_a_server_that_cant_be_had_is_a_sentence_and_none(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab.serve(NotInstalled()) is None
    said = capsys.readouterr().out
    assert "no such server here" in said
    assert "What to do: Install it." in said
    lab.clean_up()


def test_cleaning_up_ends_servers_and_removes_files_and_says_so(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    server = lab.serve(Running())
    assert server is not None
    assert server.became == ["started"]
    assert lab.serve(Running()) is server, "the cell is run again"
    assert server.became == ["started"]
    kept = lab.folder() / "tasks.db"
    kept.touch()
    assert lab.folder() == kept.parent
    assert kept.exists(), "asked for again, it keeps what is in it"
    lab.clean_up()
    assert server.became == ["started", "ended"]
    assert not kept.parent.exists()
    assert "Cleaned up: Running ended." in capsys.readouterr().out
    lab.clean_up()
    assert server.became == ["started", "ended"]


def test_what_the_last_run_left_in_the_folder_is_gone_in_the_next(lab: Lab) -> None:
    (lab.folder() / "tasks.db").touch()
    again = Lab("test-notebook", broker=False)
    assert list(again.folder().iterdir()) == []
    (again.folder() / "tasks.db").touch()
    Lab("another", broker=False)
    assert (again.folder() / "tasks.db").exists(), "another notebook's are its own"


def test_workers_need_no_broker_either(lab: Lab) -> None:
    program = lab.folder() / "worker.py"
    program.write_text(
        "import json, os, time\n"
        "print(json.dumps({'event': 'started', 'time': time.time()}), flush=True)\n"
        "print('AMQP_URL' in os.environ, flush=True)\n"
        "time.sleep(60)\n"
    )
    with lab.workers("alice", queue="tasks", program=program) as workers:
        wait_until(lambda: "False" in str(workers), 10)
        workers["alice"].kill()
    lab.clean_up()


def test_a_server_does_not_outlive_a_kernel_that_is_killed(labs_home: Path) -> None:
    code = (
        "from labs.notebook import Lab\n"
        "from labs.task_queue.local_postgres import LocalPostgres\n"
        "server = Lab('killed', broker=False).serve(LocalPostgres(fsync=False))\n"
        "print('none' if server is None else f'guard {server._guard.pid}', flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "LABS_HOME": str(labs_home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as kernel:
        assert kernel.stdout is not None
        said = next(line for line in kernel.stdout if line.startswith(("guard", "none")))
        if said.startswith("none"):
            kernel.kill()
            missing("no PostgreSQL is installed")
        guard = psutil.Process(int(said.split()[1]))
        family = [guard, *guard.children(recursive=True)]
        kernel.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
