"""Keeps one job: runs its command, ends it in time, and writes down how it has ended.

`ProcessWorker` starts one for each job, as a program of its own that needs nothing but Python:
when the controller dies, the job goes on, and so do its time limit and its record. The command
runs in a process group of its own; what it leaves running there ends with it. The keeper holds
the lock on the job's folder for as long as it lives (its starter has taken it and passed it on),
so whoever can take the lock knows that the keeper is gone. In comes `task.json`; out go
`keeper.json`, `started.json`, `output` and, in one piece, `outcome.json`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

GRACE_S = 2.0
"""Between the wish that a job ends (SIGTERM) and its end (SIGKILL)."""
DRAIN_S = 2.0
"""What a process that fled from the group, and still holds the output open, is waited for."""


class Output:
    """The last of what a job writes: at most `limit` bytes, at least half of that, in two files."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._path, self._half = folder / "output", limit // 2
        self._file = self._path.open("wb", buffering=0)
        self._size = 0

    def copy(self, source: IO[bytes]) -> None:
        """Take all of it. What can't be written is dropped: the job must not wait for a disk."""
        while piece := os.read(source.fileno(), 64 * 1024):
            with suppress(OSError):
                if self._size + len(piece) > self._half and self._size:
                    self._file.close()
                    self._path.replace(self._path.with_suffix(".earlier"))
                    self._file = self._path.open("wb", buffering=0)
                    self._size = 0
                self._file.write(piece)
                self._size += len(piece)


class Keeper:
    """One job, from its start to its record."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._order: dict[str, Any] = json.loads((folder / "task.json").read_text())
        self._process: subprocess.Popen[bytes] | None = None
        self._why = ""
        """Why the job was ended; empty if it ended by itself."""

    def run(self) -> None:
        """Run the job."""
        signal.signal(signal.SIGTERM, self._on_wish)
        signal.signal(signal.SIGALRM, self._on_time)
        self._write("keeper.json", {"pid": os.getpid()})
        try:
            self._process = process = subprocess.Popen(
                self._order["command"],
                cwd=self._order["folder"],
                env=os.environ | self._order["environment"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._record(None, f"It could not be started: {error}")
            return
        self._write("started.json", {"pid": process.pid, "at": time.time()})
        if self._why:  # the wish came before there was a process to tell
            self._signal(signal.SIGTERM)
        else:
            signal.setitimer(signal.ITIMER_REAL, self._order["timeout_s"])
        assert process.stdout
        output = Output(self._folder, self._order["output_limit"])
        copying = threading.Thread(target=output.copy, args=[process.stdout], daemon=True)
        copying.start()
        code = process.wait()
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._signal(signal.SIGKILL)  # what it has left running
        copying.join(DRAIN_S)
        self._record(code, self._why)

    def _on_wish(self, *_: object) -> None:
        self._end("It was ended, as somebody wished.")

    def _on_time(self, *_: object) -> None:
        self._end(f"It took longer than {self._order['timeout_s']:g} s, and was ended.")

    def _end(self, why: str) -> None:
        first = not self._why
        self._why = self._why or why
        self._signal(signal.SIGTERM if first else signal.SIGKILL)
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)  # then it is killed

    def _signal(self, number: int) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _record(self, code: int | None, why: str) -> None:
        self._write("outcome.json", {"exit_code": code, "why": why, "at": time.time()})

    def _write(self, name: str, facts: dict[str, Any]) -> None:
        half = self._folder / f"{name}.half"
        half.write_text(json.dumps(facts))
        half.replace(self._folder / name)


if __name__ == "__main__":
    Keeper(Path(sys.argv[1])).run()
