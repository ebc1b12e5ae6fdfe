"""SIGTERM and SIGINT as a wish to stop, for as long as a replica runs.

The first signal asks to stop (and calls the handler that a program had set itself); then
all is as it was before, so that a second one does what it always does. Outside the main
thread Python allows no signal handlers: there nothing is changed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


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
