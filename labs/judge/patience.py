"""When to stop waiting for a program: never for being slow, soon when it can do nothing more.

Three clocks: how long nothing has happened at all (no frame but heartbeats and
empty polls, no line), how long nothing *new* has happened (a delivery of what had
not been delivered, a publish, a line), and how long the program's processes have used
next to no CPU. Connecting over and over is nothing new.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from labs.journal import Event
from labs.judge.program import Program

CPU_LOOK_S = 0.5
CPU_BUSY = 0.1
"""A program that uses more than this part of a core is at something."""
IDLE_FRAMES = {"heartbeat", "basic.get", "basic.get-empty"}
ALIVE = {"frame", "connected", "disconnected", "changed", "asked", "answered"}
NEWS = {
    "committed",
    "line",
    "started",
    "exited",
    "signal",
    "fault",
    "published",
    "input",
    "appended",
}


class Patience:
    """Told of every event, it knows how quiet it has been."""

    def __init__(self) -> None:
        now = time.monotonic()
        self._active = self._new = self._cpu_active = self._cpu_looked = now
        self._cpu_s: dict[int, float] = {}

    def follow(self, events: Iterable[Event]) -> None:
        """Take in what has happened just now."""
        now = time.monotonic()
        for event in events:
            if event.kind in NEWS or _is_new(event):
                self._active = self._new = now
            elif event.kind in ALIVE and event.name not in IDLE_FRAMES:
                self._active = now

    def begin(self) -> None:
        """Begin to wait for something else: what was before does not count."""
        self._active = self._new = self._cpu_active = time.monotonic()

    def stalled_s(self) -> float:
        """For how long nothing new has come of what went to and fro."""
        return time.monotonic() - self._new

    def quiet_s(self, programs: Sequence[Program]) -> float:
        """For how long nothing has happened, and none of the programs was at something."""
        now = time.monotonic()
        quiet_s = now - self._active
        if quiet_s > CPU_LOOK_S and now - self._cpu_looked > CPU_LOOK_S:
            self._look_at_cpu(programs, now)
        return min(quiet_s, now - self._cpu_active)

    def _look_at_cpu(self, programs: Sequence[Program], now: float) -> None:
        for program in programs:
            used_s = program.cpu_s()
            before_s = self._cpu_s.get(program.pid)
            if before_s is not None and used_s - before_s > CPU_BUSY * (now - self._cpu_looked):
                self._cpu_active = now
            self._cpu_s[program.pid] = used_s
        self._cpu_looked = now


def _is_new(event: Event) -> bool:
    if event.kind == "changed":  # who only holds a task for longer does nothing new
        return event.name != "extend"
    if event.kind != "frame":
        return False
    delivered = event.name in ("basic.deliver", "basic.get-ok")
    return event.name == "basic.publish" or (delivered and not event.data.get("redelivered"))
