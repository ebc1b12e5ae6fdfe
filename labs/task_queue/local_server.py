"""A server of the lab's own, for lessons and tests: private, on loopback, in its own folder.

What `LocalPostgres` and `LocalS3` have in common. It ends with its block or with the process that
started it, even a killed one: `local_guard`, a process between the two, looks after that. `stop`
and `start` keep what is in it; a folder that nobody has given goes with it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from labs.broker.ports import free_port
from labs.errors import LabError

START_ATTEMPTS = 5


class ServerFailed(LabError):
    """Raised when a server of our own does not start; with its last words."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Program:
    """How a server is run."""

    command: Sequence[str]
    cwd: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    """For `subprocess`: as whom it runs."""


class LocalServer(ABC):
    """A server in a process of its own."""

    title: ClassVar[str]
    ready: ClassVar[str]
    """What its log says when it answers."""
    port_taken: ClassVar[str]
    """What its last words hold if somebody was quicker to take the port."""
    in_good_order: ClassVar[signal.Signals]
    at_once: ClassVar[signal.Signals]
    """The signals by which it ends."""

    def __init__(self, folder: Path | None, login: dict[str, str]) -> None:
        self._given = folder
        self._login = login
        self._guard: subprocess.Popen[str] | None = None
        self._home: Path | None = None
        self._port = 0

    @property
    def home(self) -> Path | None:
        """Its folder; None: not started yet."""
        return self._home

    @property
    def pid(self) -> int | None:
        """The id of the process that guards it; None: it does not run."""
        return self._guard.pid if self._guard else None

    def start(self) -> Self:
        """Start it, and return when it answers; on the same port as before. Twice is no error.

        Raises:
            NotPossibleHere: there is none to start, or nobody to run it.
            ServerFailed: it did not start.
        """
        if self._guard is not None and self._guard.poll() is None:
            return self
        self._find()
        if self._home is None:
            self._home = self._made_home()
        try:
            self._prepare(self._home)
            self._launch(self._home)
        except BaseException:  # a Ctrl-C too: what is half made must not stay
            self.close()
            raise
        return self

    def stop(self) -> None:
        """End it in good order: connections are cut, what is in it stays for `start`."""
        self._end(signal.SIGTERM)

    def crash(self) -> None:
        """End it at once, as a crash would; what was written stays for `start`."""
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

    # --- What differs -------------------------------------------------------------------------

    @abstractmethod
    def _find(self) -> None:
        """Find the programs. Raises NotPossibleHere."""

    @abstractmethod
    def _prepare(self, home: Path) -> None:
        """Make in its folder what it needs to start, if it is not there."""

    @abstractmethod
    def _program(self, home: Path, port: int) -> Program: ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for its clients and itself. Keep them secret."""
        return {}

    # --- How it is run ------------------------------------------------------------------------

    def _made_home(self) -> Path:
        if self._given is None:
            home = Path(tempfile.mkdtemp(prefix="labs-server-"))
        else:
            home = self._given.absolute()
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
        login = home / "login.json"
        if login.exists():
            self._login = json.loads(login.read_text())
        else:
            login.touch(mode=0o600)
            login.write_text(json.dumps(self._login))
        return home

    def _launch(self, home: Path) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            port = self._port or free_port()
            program = self._program(home, port)
            order = {
                "owner": os.getpid(),
                "home": str(home),
                "wipe": self._given is None,
                "command": list(program.command),
                "cwd": str(program.cwd),
                "options": dict(program.options),
                "ready": self.ready,
                "in_good_order": self.in_good_order,
                "at_once": self.at_once,
            }
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "labs.task_queue.local_guard", json.dumps(order)],
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
            if self.port_taken not in said or attempt == START_ATTEMPTS:
                raise ServerFailed(
                    f"{self.title} did not start. Its last words: {said}",
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
