"""Processes that outlive the command that started them, ended without hurting a stranger.

A process is known by its id *and* its start time: an id alone may have been given
to somebody else since. What a state file forgot (a crash, a torn write) is found
again by a marker in its environment, which every child inherits.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from labs.errors import WaitedTooLong
from labs.waiting import wait_until

KILL_TIMEOUT_S = 10.0
CLOCK_STEP_S = 2.0
"""A start time is derived from the wall clock, which may be set by a little after boot."""


@dataclass(frozen=True)
class ProcessId:
    """A process: its id and when it started (seconds since 1970)."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process that has this id now; None when there is none."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def process(self) -> psutil.Process | None:
        """The living process itself; None when it is gone, or its id is a stranger's by now."""
        try:
            found = psutil.Process(self.pid)
            if abs(found.create_time() - self.started) > CLOCK_STEP_S:
                return None
            return found if lives(found) else None
        except psutil.Error:
            return None


def carrying(name: str, value: str) -> list[psutil.Process]:
    """All living processes of this user in whose environment `name` is `value`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(name) == value:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's: not ours in either case
    return found


def end(processes: Iterable[psutil.Process], *, timeout_s: float) -> None:
    """Ask the processes to end, wait `timeout_s` seconds, then kill those that are left."""
    asked = list(processes)
    for process in asked:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    kill(_left_of(asked, timeout_s))


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill the processes at once (SIGKILL) and wait until they are gone."""
    doomed = list(processes)
    for process in doomed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _left_of(doomed, KILL_TIMEOUT_S)


def lives(process: psutil.Process) -> bool:
    """Whether the process is still there. A zombie has ended: only its parent has not noticed."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _left_of(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    with suppress(WaitedTooLong):
        wait_until(lambda: not any(map(lives, processes)), timeout_s)
    return [process for process in processes if lives(process)]
