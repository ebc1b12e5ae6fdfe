"""One job of the `ProcessWorker`: a folder, in which its keeper writes how it goes.

All that is known of a job is in its folder, so that another controller finds it there. Whether
its keeper lives is told by the lock on the folder, which is the kernel's and never stale;
process ids are used only while that is held.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from labs.broker.processes import ProcessId
from labs.errors import WaitedTooLong
from labs.task_queue.stages import Stage
from labs.task_queue.workers import keeper
from labs.task_queue.workers.base import Report, WorkerUnreachable
from labs.waiting import wait_until

TAIL_CHARACTERS = 2000
END_S = keeper.GRACE_S + keeper.DRAIN_S + 6.0
LOST = (
    "The process that kept the job is gone, and nobody knows how the job has ended. "
    "Was it killed, or the machine restarted?"
)


class Run:
    """A job's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keeper: subprocess.Popen[bytes] | None = None
        self._asked = False

    def start(
        self,
        command: Sequence[str],
        *,
        working_folder: Path,
        environment: Mapping[str, str],
        timeout_s: float,
        output_limit: int,
    ) -> None:
        """Make the folder, and start a keeper.

        Raises:
            OSError: the machine has no room, or no process to spare.
        """
        self.folder.mkdir(parents=True)
        order = {
            "command": list(command),
            "folder": str(working_folder),
            "environment": dict(environment),
            "timeout_s": timeout_s,
            "output_limit": output_limit,
        }
        (self.folder / "task.json").write_text(json.dumps(order))
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[lock.fileno()],
                start_new_session=True,  # a Ctrl-C is for the controller alone
            )

    @property
    def is_kept(self) -> bool:
        """Whether its keeper lives."""
        if self._keeper:
            self._keeper.poll()  # so that it does not stay behind as a zombie
        with suppress(FileNotFoundError), (self.folder / "lock").open("r") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @property
    def stage(self) -> Stage:
        """PROCESSING, SUCCESS or FAIL. The exit code alone tells, not what was written."""
        outcome = self._read("outcome.json")
        if not outcome:
            if self.is_kept:
                return Stage.PROCESSING
            outcome = self._read("outcome.json")  # it may have been written just before
        good = outcome.get("exit_code") == 0 and not outcome.get("why")
        return Stage.SUCCESS if good else Stage.FAIL

    @property
    def was_started(self) -> bool:
        """Whether its keeper has come to the job."""
        return self.is_kept or bool(self._read("started.json") or self._read("outcome.json"))

    def report(self) -> Report:
        """How it ended, with the last of what it wrote."""
        outcome, tail = self._read("outcome.json"), self.tail()
        if not outcome:
            return Report(reason=_joined(LOST, tail))
        code = outcome["exit_code"]
        if not (why := outcome["why"]):
            why = f"Exit code {code}."
            if code < 0:
                why = f"It was ended by {_signal_name(-code)}."
        return Report(result={"exit_code": code, "output": tail}, reason=_joined(why, tail))

    def tail(self) -> str:
        """The last of what it wrote."""
        pieces = []
        for name in ("output.earlier", "output"):
            with suppress(OSError), (self.folder / name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * TAIL_CHARACTERS))
                pieces.append(file.read())
        return b"".join(pieces).decode("utf-8", "backslashreplace")[-TAIL_CHARACTERS:].strip()

    def end(self) -> None:
        """End it if it runs, with all of its process group.

        Raises:
            WorkerUnreachable: it can't be ended.
        """
        try:
            wait_until(self._ask_to_end, END_S, what="the job's end", interval_s=0.02)
        except WaitedTooLong:
            raise WorkerUnreachable(
                f"The job in {self.folder} could not be ended in {END_S:g} s.",
                remedy="Is the machine overloaded, or the disk gone? It is tried again.",
            ) from None
        started = {} if self._read("outcome.json") else self._read("started.json")
        # Its keeper was killed: the job may have outlived it.
        if started and ProcessId(started["pid"], started["at"]).process():
            with suppress(ProcessLookupError):
                os.killpg(started["pid"], signal.SIGKILL)

    def _ask_to_end(self) -> bool:
        if not self.is_kept:
            return True
        if (pid := self._read("keeper.json").get("pid")) and not self._asked:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                self._asked = True
        return False

    def _read(self, name: str) -> dict[str, Any]:
        try:
            facts: dict[str, Any] = json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            return {}
        return facts


def _signal_name(number: int) -> str:
    with suppress(ValueError):  # the real-time signals have no names
        return signal.Signals(number).name
    return f"signal {number}"


def _joined(why: str, tail: str) -> str:
    return f"{why} Its last words:\n{tail}" if tail else f"{why} It wrote nothing."
