"""Whether the machine stood still: a thread that wants to wake twenty times a second, and looks.

Where a promise is about time, a program may break it because nothing at all went on for a
while. A `Pulse` runs beside a trial and tells from when to when it could not wake up:
what was lost in such a time says nothing of the program.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

BEAT_S = 0.05


class Pulse:
    """A context manager: while it lasts, it feels the pulse.

    Args:
        now_s: the clock that its times are told by.
        stall_s: a pause is told if it is longer than this.
    """

    def __init__(self, now_s: Callable[[], float], stall_s: float) -> None:
        self.stalls: list[tuple[float, float]] = []
        """From when to when nothing went on, in seconds of the clock."""
        self._now_s, self._stall_s = now_s, stall_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="labs-pulse", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        before = time.monotonic()
        while not self._over.wait(BEAT_S):
            pause_s = time.monotonic() - before
            before += pause_s
            if pause_s > self._stall_s:
                now_s = self._now_s()
                self.stalls.append((now_s - pause_s, now_s))
