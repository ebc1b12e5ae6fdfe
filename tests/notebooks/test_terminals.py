"""What the notebooks say for people who prefer terminals, done as they say it.

The commands are read from notebook 02 and run in a tmux of the test's own, so that
a person's sessions are left alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labs.broker.address import Address
from tests.conftest import missing
from tests.notebooks.desk import NOTEBOOKS, ROOT, kernel_environment, read
from tests.support import count, declare, wait_until

SEND = NOTEBOOKS / "files" / "send.py"
Shell = Callable[[str], str]


def send(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run send.py as from a terminal."""
    environment = {**os.environ, "AMQP_URL": url}
    return subprocess.run(
        [sys.executable, str(SEND), *words], env=environment, capture_output=True, text=True
    )


def test_send_puts_each_word_into_the_queue(vhost: Address) -> None:
    declare(vhost, "hello")
    sent = send(vhost.url, "one", "two", "drei äöü")
    assert sent.returncode == 0
    assert sent.stdout.splitlines() == [f" [x] Sent {body}" for body in ("one", "two", "drei äöü")]
    assert count(vhost, "hello") == 3


def test_send_says_what_is_wrong_in_a_sentence(vhost: Address) -> None:
    wrong_password = vhost.url.replace(f":{vhost.password}@", ":not-the-password@")
    for url, words in [
        (vhost.url, "There is no queue 'nowhere'"),
        (wrong_password, "ACCESS_REFUSED"),
        ("amqp://guest:guest@127.0.0.1:1/", "Connection refused"),
        ("rabbit@machine", "AMQP_URL can't be read"),
    ]:
        failed = send(url, "--queue", "nowhere", "x")
        assert failed.returncode == 1
        assert words in failed.stderr
        assert "Traceback" not in failed.stderr
        assert "not-the-password" not in failed.stderr


@pytest.fixture
def shell(vhost: Address, tmp_path: Path) -> Iterator[Shell]:
    """A shell at the top of the checkout, whose tmux is one of the test's own."""
    if shutil.which("tmux") is None:
        missing("no tmux is installed")
    environment = {
        **kernel_environment(tmp_path / "home", vhost),
        "TMUX_TMPDIR": str(tmp_path),
        "SHELL": "/bin/sh",
        "TERM": "xterm",
    }
    environment.pop("TMUX", None)

    def run(command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout

    yield run
    subprocess.run(["tmux", "kill-server"], env=environment, capture_output=True)


def test_the_tmux_commands_of_notebook_02_show_two_workers_sharing_the_work(
    shell: Shell, vhost: Address
) -> None:
    [cell] = [cell for cell in read("02-work-queues").cells if cell.id == "tmux-script"]
    [block] = re.findall(r"```bash\n(.*?)```", cell.source, re.DOTALL)
    *commands, attach = block.splitlines()
    assert attach.startswith("tmux attach"), "it needs a person's terminal; all else is run here"

    def pane_shows(number: int, words: str) -> Callable[[], bool]:
        return lambda: words in shell(f"tmux capture-pane -p -J -t labs:0.{number}")

    alice, bob, *rest = commands
    shell(alice)
    wait_until(pane_shows(0, "alice waits"), 30)
    shell(bob)
    wait_until(pane_shows(1, "bob waits"), 30)
    for command in rest:
        shell(command)
    wait_until(pane_shows(2, "Sent 1"), 30, what="the third pane to send")
    wait_until(pane_shows(0, "Done 1"), 30, what="alice to do the first message")
    wait_until(pane_shows(1, "Done 22"), 30, what="bob to do the second message")
    assert count(vhost, "terminals") == 0
