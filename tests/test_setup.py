"""The two commands, as on a machine that has never seen the project.

The checkout is copied into a folder with spaces in its name and belongs to an
ordinary user there. `make lab` is typed, the lab is looked at from outside, and
Ctrl-C ends it; the second time there is no network but loopback.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from labs.broker.address import parse_amqp_url
from labs.broker.connection import log_in
from labs.waiting import wait_until

ROOT = Path(__file__).parent.parent
NOBODY = 65534
SET_UP_TIMEOUT_S = 600
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

pytestmark = [
    pytest.mark.timeout(SET_UP_TIMEOUT_S + 300),
    pytest.mark.skipif(sys.platform == "win32", reason="the README sends Windows to WSL or Docker"),
]


@dataclass(frozen=True)
class Checkout:
    """A copy of the project, and the environment of the ordinary user whom it belongs to."""

    root: Path
    environment: dict[str, str]

    def start(self, *command: str, output: Path) -> subprocess.Popen[bytes]:
        with output.open("wb") as written:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a process group of its own, as at a terminal
            )

    def processes(self) -> list[psutil.Process]:
        """What runs out of this checkout, or was started by something that did."""
        mark = str(self.root)
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                said = [*process.cmdline(), *process.environ().values(), process.cwd()]
                if any(mark in one for one in said):
                    found.append(process)
        return found


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    folder = Path(tempfile.mkdtemp(prefix="queue-labs-"))
    folder.chmod(0o755)
    root, home = folder / "a path with spaces", folder / "home"
    home.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    if AS_ROOT:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
    # Nothing of the person who runs the tests, and no Python of theirs.
    environment = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    if not AS_ROOT:
        environment["PATH"] = os.environ["PATH"]
    for name in ("PIP_INDEX_URL", "PIP_CERT", "PIP_CONFIG_FILE", "HTTPS_PROXY", "NO_PROXY"):
        if name in os.environ:
            environment[name] = os.environ[name]
    yield Checkout(root, environment)
    for process in Checkout(root, environment).processes():
        with suppress(psutil.Error):
            process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def ordinary(*command: str, network: bool = True) -> list[str]:
    """The command as an ordinary user types it; without network, only loopback is there."""
    if not AS_ROOT:
        return list(command)
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    if network:
        return [*user, *command]
    words = ['ip link set lo up && exec "$@"', "sh", *user, *command]
    return ["unshare", "--net", "sh", "-c", *words]


@contextmanager
def open_lab(checkout: Checkout, output: Path, *, network: bool = True) -> Iterator[str]:
    """`make lab` until it says that all is there; what it printed. Ctrl-C at the end."""
    typed = checkout.start(*ordinary("make", "lab", network=network), output=output)

    def said() -> str:
        text = output.read_text(encoding="utf-8", errors="replace")
        assert typed.poll() is None, text
        return text if "Ctrl-C" in text else ""

    try:
        yield wait_until(said, SET_UP_TIMEOUT_S, what="make lab")
    finally:
        os.killpg(typed.pid, signal.SIGINT)
        typed.wait(60)


def url_of_notebooks(said: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\S+", said.split("otebooks", 1)[1])
    assert found, said
    return found[0]


def sockets_beyond_loopback(checkout: Checkout) -> list[str]:
    """Where the checkout's processes can be reached from another machine."""
    found: list[str] = []
    for process in checkout.processes():
        with suppress(psutil.Error):
            found += [
                socket.laddr.ip
                for socket in process.net_connections("inet")
                if socket.laddr and socket.laddr.ip not in LOOPBACK
            ]
    return found


def test_make_lab_opens_a_lab_that_works_and_ctrl_c_leaves_nothing_behind(
    checkout: Checkout, tmp_path: Path
) -> None:
    with open_lab(checkout, tmp_path / "first.txt") as said:
        url = url_of_notebooks(said)
        assert httpx.get(url, follow_redirects=True).status_code == 200
        without_token = httpx.get(url.split("/lab")[0] + "/api/contents")
        assert without_token.status_code == 403
        amqp_url = (checkout.root / ".labs" / "amqp-url").read_text().strip()
        assert log_in(parse_amqp_url(amqp_url)).product == "RabbitMQ"
        assert parse_amqp_url(amqp_url).password not in said
        # The lookup of a name has such a socket for a moment; who listens keeps it.
        wait_until(lambda: not sockets_beyond_loopback(checkout), 30, what="loopback only")
    wait_until(lambda: not checkout.processes(), 30, what="all processes of the lab to be gone")


def test_a_second_make_lab_installs_nothing_and_needs_no_network(
    checkout: Checkout, tmp_path: Path
) -> None:
    stamp = checkout.root / ".venv" / "installed-requirements.txt"
    password = checkout.root / ".labs" / "node" / "login.json"
    if not stamp.exists():
        pytest.skip("the first make lab is a test of its own")
    before = stamp.stat().st_mtime_ns, password.read_text()
    with open_lab(checkout, tmp_path / "second.txt", network=False) as said:
        assert "Installing" not in said
        assert (stamp.stat().st_mtime_ns, password.read_text()) == before


def test_an_old_python_is_told_which_one_is_needed(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 18); sys.argv = ['bootstrap', 'x'];"
        f"runpy.run_path({str(ROOT / 'labs' / 'bootstrap.py')!r}, run_name='__main__')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "needs Python 3.11 or newer" in ran.stderr
    assert "apt-get install python3" in ran.stderr


def test_make_help_names_both_commands() -> None:
    helped = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"lab", "test"} <= {line.split()[0] for line in helped.stdout.splitlines() if line}


def test_the_lock_files_name_no_registry_and_hash_every_package() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        pinned = re.findall(r"^\S+==", text, flags=re.MULTILINE)
        followed = re.findall(r"^\S+==.*\\\n    --hash=sha256:", text, flags=re.MULTILINE)
        assert len(pinned) == len(followed) > 50
