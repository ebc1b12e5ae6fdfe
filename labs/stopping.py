"""SIGTERM and SIGINT as a wish to stop, for as long as something runs.

The first signal asks to stop (and calls the handler that a program had set itself); then
all is as it was before, so that a second one does what it always does. Outside the main
thread Python allows no signal handlers: there nothing is changed.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LOOK_S = 0.05


class Stop:
    """Whether somebody wants us to stop.

    A plain flag, looked at now and then: to set a `threading.Event` in a signal handler can
    lock a main thread that waits for that same event for ever.
    """

    def __init__(self) -> None:
        self.wanted = False

    def want(self) -> None:
        """Ask to stop, from anywhere."""
        self.wanted = True

    def wait(self, timeout_s: float = float("inf")) -> bool:
        """Whether it is wanted, after waiting for it so long."""
        deadline = time.monotonic() + timeout_s
        while not self.wanted and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_S))
        return self.wanted


@contextmanager
def signals_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first SIGTERM or SIGINT call `stop`, within this block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def heed(number: int, frame: FrameType | None) -> None:
        restore()
        stop()
        programs_own = before[signal.Signals(number)]
        if callable(programs_own) and programs_own is not signal.default_int_handler:
            programs_own(number, frame)

    for number in before:
        signal.signal(number, heed)
    try:
        yield
    finally:
        restore()
