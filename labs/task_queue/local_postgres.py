"""A PostgreSQL for lessons and tests: a private server on loopback, in a folder of its own.

`with LocalPostgres() as postgres:` makes it in about two seconds, with a random password;
`postgres.url` is its address for any client. It is a real one, of the binaries that are
installed, and safe (fsync) unless told otherwise. PostgreSQL refuses to be run by root: then it
runs as the user `postgres` or `nobody`. It ends with the block or with the process that started
it, even a killed one, as every `local_server`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from labs.errors import NotPossibleHere
from labs.task_queue.local_server import LocalServer, Program, ServerFailed

USER = "lab"
OLDEST = 15
SAFE = {"max_connections": "200", "shared_buffers": "128MB", "max_wal_size": "2GB"}
UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class LocalPostgres(LocalServer):
    """A PostgreSQL server in a process of its own; `stop` and `start` keep what is in it."""

    title = "PostgreSQL"
    ready = "database system is ready to accept connections"
    port_taken = "Address already in use"
    in_good_order = signal.SIGINT
    at_once = signal.SIGQUIT

    def __init__(self, folder: Path | None = None, *, fsync: bool = True) -> None:
        """Nothing starts yet.

        Args:
            folder: where it keeps all, made if need be; None: a temporary one, removed at the end.
            fsync: False is faster, and a crash of the machine may ruin it.
        """
        super().__init__(folder, {"password": secrets.token_urlsafe(18)})
        self._fsync = fsync
        self._binaries = Path()
        self._account = Account(None)

    @property
    def url(self) -> str:
        """Its address, with the password. Keep it out of logs."""
        return f"postgresql://{USER}:{self._login['password']}@127.0.0.1:{self._port}/postgres"

    def __repr__(self) -> str:
        """Where it is; not its password."""
        return f"<LocalPostgres on 127.0.0.1:{self._port}>"

    def _find(self) -> None:
        self._binaries, self._account = find_binaries(), account_of_the_server()

    def _prepare(self, home: Path) -> None:
        self._account.give(home)
        if (home / "data" / "PG_VERSION").exists():
            return
        secret = home / "password"
        secret.touch(mode=0o600)
        secret.write_text(self._login["password"])
        self._account.give(secret)
        command = [
            *(str(self._binaries / "initdb"), "--pgdata", str(home / "data")),
            *("--username", USER, "--pwfile", str(secret), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--no-instructions", "--no-sync"),
        ]
        try:
            done = subprocess.run(
                command,
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                **self._account.options,
            )
        finally:
            secret.unlink()
        if done.returncode:
            raise ServerFailed(
                f"initdb could not make a database in {home}: {done.stderr.strip()[-500:]}",
                remedy=f"The user {self._account.name} must be able to write there; is the disk "
                "full?",
            )

    def _program(self, home: Path, port: int) -> Program:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": str(port),
            **SAFE,
            **({} if self._fsync else UNSAFE),
        }
        command = [
            *(str(self._binaries / "postgres"), "-D", str(home / "data")),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ]
        return Program(command, Path("/"), self._account.options)


class Account:
    """Who runs the server: oneself, or for root somebody with fewer rights."""

    def __init__(self, found: pwd.struct_passwd | None) -> None:
        self._found = found
        self.name = found.pw_name if found else "you"
        self.options: dict[str, Any] = (
            {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []} if found else {}
        )
        """For `subprocess`."""

    def give(self, path: Path) -> None:
        """Let it own a file or folder."""
        if self._found:
            os.chown(path, self._found.pw_uid, self._found.pw_gid)


def account_of_the_server() -> Account:
    """Oneself; for root, the user `postgres` or `nobody`.

    Raises:
        NotPossibleHere: there is neither.
    """
    if os.geteuid() != 0:
        return Account(None)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return Account(pwd.getpwnam(name))
    raise NotPossibleHere(
        "PostgreSQL refuses to be run by root, and there is no user postgres or nobody.",
        remedy="Be an ordinary user, or make one: useradd postgres.",
    )


def find_binaries() -> Path:
    """The folder of the newest PostgreSQL that is installed, 15 at least.

    Raises:
        NotPossibleHere: there is none.
    """
    homes = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt")
    found = [path.parent for home in homes for path in Path(home).glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve().parent)
    versions = {path: version_of(path) for path in found}
    best = max(versions, key=lambda path: versions[path], default=None)
    if best is None or versions[best] < OLDEST:
        has = f"only version {versions[best]}" if best else "none"
        raise NotPossibleHere(
            f"A PostgreSQL server of version {OLDEST} or newer is needed, and there is {has} here.",
            remedy="Install one (Debian: apt-get install postgresql; macOS: brew install "
            "postgresql), or give the URL of one that runs.",
        )
    return best


def version_of(binaries: Path) -> int:
    """The major version of the server in this folder; 0 if there is none that runs."""
    try:
        said = subprocess.run(
            [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return 0
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0
