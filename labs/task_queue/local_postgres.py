"""A PostgreSQL for lessons and tests: a private server on loopback, in a folder of its own.

`with LocalPostgres() as postgres:` makes it in about two seconds, with a random password;
`postgres.url` is its address for any client. It is a real one, of the binaries that are
installed, and safe (fsync) unless told otherwise. PostgreSQL refuses to be run by root: then it
runs as the user `postgres` or `nobody`. It ends with the block or with the process that started
it, even a killed one: `local_postgres_guard`, a process between the two, looks after that.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from labs.errors import LabError, NotPossibleHere

USER = "lab"
OLDEST = 15
PORTS = range(20_000, 32_768)
"""Below those that are handed out to outgoing connections."""
START_ATTEMPTS = 5
SAFE = {"max_connections": "200", "shared_buffers": "128MB", "max_wal_size": "2GB"}
UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresFailed(LabError):
    """Raised when a PostgreSQL of our own does not start; with its last words."""

    exit_code = 5


class LocalPostgres:
    """A PostgreSQL server in a process of its own; `stop` and `start` keep what is in it."""

    def __init__(self, folder: Path | None = None, *, fsync: bool = True) -> None:
        """Nothing starts yet.

        Args:
            folder: where it keeps all, made if need be; None: a temporary one, removed at the end.
            fsync: False is faster, and a crash of the machine may ruin it.
        """
        self._given = folder
        self._fsync = fsync
        self._guard: subprocess.Popen[str] | None = None
        self._home: Path | None = None
        self._password = secrets.token_urlsafe(18)
        self._port = 0

    @property
    def url(self) -> str:
        """Its address, with the password. Keep it out of logs."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/postgres"

    def __repr__(self) -> str:
        """Where it is; not its password."""
        return f"<LocalPostgres on 127.0.0.1:{self._port}>"

    def start(self) -> Self:
        """Start it, and return when it answers; on the same port as before. Twice is no error.

        Raises:
            NotPossibleHere: there is no PostgreSQL to start, or nobody to run it.
            PostgresFailed: it did not start.
        """
        if self._guard is not None and self._guard.poll() is None:
            return self
        binaries, account = find_binaries(), account_of_the_server()
        if self._home is None:
            self._home = self._made_home(account)
        try:
            if not (self._home / "data" / "PG_VERSION").exists():
                self._initialise(binaries, account)
            self._launch(binaries, account)
        except BaseException:  # a Ctrl-C too: what is half made must not stay
            self.close()
            raise
        return self

    def stop(self) -> None:
        """End it in good order: connections are cut, what is in it stays for `start`."""
        self._end(signal.SIGTERM)

    def crash(self) -> None:
        """End it at once, as a crash would: the next `start` recovers from its log."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it for good; its folder goes too, if it is its own. Twice is no error."""
        self.stop()
        if self._given is None and self._home is not None:
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

    def _made_home(self, account: Account) -> Path:
        if self._given is None:
            home = Path(tempfile.mkdtemp(prefix="labs-postgres-"))
        else:
            home = self._given.absolute()
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            known = home / "login.json"
            if known.exists():
                self._password = str(json.loads(known.read_text())["password"])
        account.give(home)
        return home

    def _initialise(self, binaries: Path, account: Account) -> None:
        assert self._home is not None
        secret = self._home / "password"
        secret.touch(mode=0o600)
        secret.write_text(self._password)
        account.give(secret)
        command = [
            *(str(binaries / "initdb"), "--pgdata", str(self._home / "data")),
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
                **account.options,
            )
        finally:
            secret.unlink()
        if done.returncode:
            raise PostgresFailed(
                f"initdb could not make a database in {self._home}: {done.stderr.strip()[-500:]}",
                remedy=f"The user {account.name} must be able to write there; is the disk full?",
            )
        login = self._home / "login.json"
        login.touch(mode=0o600)
        login.write_text(json.dumps({"password": self._password}))

    def _launch(self, binaries: Path, account: Account) -> None:
        assert self._home is not None
        for attempt in range(1, START_ATTEMPTS + 1):
            port = self._port or free_port()
            order = {
                "owner": os.getpid(),
                "home": str(self._home),
                "wipe": self._given is None,
                "command": [str(binaries / "postgres"), *self._arguments(port)],
                "options": account.options,
            }
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "labs.task_queue.local_postgres_guard", json.dumps(order)],
                cwd=Path(__file__).parents[2],
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
            self._end(signal.SIGTERM)
            if "Address already in use" not in said or attempt == START_ATTEMPTS or self._port:
                raise PostgresFailed(
                    f"PostgreSQL did not start. Its last words: {said}",
                    remedy=f"Its log is {self._home / 'log'}; is the disk full?",
                )

    def _arguments(self, port: int) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": str(port),
            **SAFE,
            **({} if self._fsync else UNSAFE),
        }
        return [
            *("-D", str(Path(str(self._home)) / "data")),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ]

    def _end(self, number: signal.Signals) -> None:
        if self._guard is None:
            return
        self._guard.send_signal(number)
        self._guard.wait()
        assert self._guard.stdout is not None
        self._guard.stdout.close()
        self._guard = None


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


def free_port() -> int:
    """Some loopback port at which nobody listens now; somebody may, a moment later."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
