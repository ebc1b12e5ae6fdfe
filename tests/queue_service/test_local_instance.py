"""Instances for lessons: real processes that are killed, come back, and leave nobody behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from labs.broker.state import ROOT
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.local_instance import LocalInstances
from labs.task_queue.local_server import ServerFailed


@pytest.fixture
def instances(tmp_path: Path) -> Iterator[LocalInstances]:
    """One, on a file."""
    one = LocalInstances(f"sqlite:///{tmp_path}/builds.db", ["one"])
    yield one.start()
    one.close()


def test_a_killed_instance_comes_back_at_its_address_with_all_that_it_had_answered(
    instances: LocalInstances,
) -> None:
    one = instances["one"]
    with QueueServiceClient(one.url) as client:
        assert client.start(1, 7).created
        address = one.url
        one.crash()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/v1/status")
        instances.start()
        assert instances.urls == [address]
        assert not client.start(1, 7).created, "it is there"
        guard = psutil.Process(one.pid)
        family = [guard, *guard.children(recursive=True)]
        assert any("queue-service" in process.cmdline() for process in family)
    instances.close()
    instances.close()
    assert not [process for process in family if process.is_running()]


def test_an_instance_that_cant_start_is_a_sentence_and_no_secret_is_in_it(tmp_path: Path) -> None:
    none = LocalInstances(f"sqlite:///{tmp_path}/no folder/builds.db?secret=hush", ["one", "two"])
    with pytest.raises(ServerFailed) as refused:
        none.start()
    assert "did not start" in str(refused.value)
    assert "hush" not in repr(none["one"])
    assert [one.pid for one in none.values()] == [None, None]


def test_an_instance_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    code = (
        "from labs.queue_service.local_instance import LocalInstances\n"
        f"one = LocalInstances('sqlite:///{tmp_path}/builds.db', ['one']).start()['one']\n"
        "print(one.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "LABS_HOME": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        guard = psutil.Process(int(starter.stdout.readline()))
        family = [guard, *guard.children(recursive=True)]
        starter.send_signal(signal.SIGKILL)
    assert len(family) == 2
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
