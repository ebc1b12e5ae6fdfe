"""Several processes that serve at one port, and the parent that looks after them.

The port is opened once, by the parent, which lets nobody in itself: each process accepts from the
same socket, whoever is free first. So one that dies costs those alone whom it was answering; who
stands at the door is let in by another, or by the one that replaces it: at once, or, if it dies
again and again, after a pause that grows. They hear of each other over a line (`serving_process`);
its end tells a child that the parent is gone, however that ended.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from labs.errors import LabError, WaitedTooLong
from labs.queue_service.serving_process import ASKS_TO_STOP, SERVES, STOP, Place
from labs.stopping import LOOK_S, Stop
from labs.task_queue.api_server import STOP_WITHIN_S
from labs.waiting import wait_until

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
STEADY_S = 30.0
"""One that has lived so long is replaced without a pause."""
ALL_STOP_WITHIN_S = STOP_WITHIN_S + 10.0

log = logging.getLogger(__name__)


class Processes:
    """So many processes, each of which runs the same. They end with the block."""

    def __init__(
        self,
        many: int,
        body: Callable[[Place], None],
        *,
        inherited: Sequence[int] = (),
        stopping: Callable[[], object] = lambda: None,
    ) -> None:
        """Nothing starts yet.

        Args:
            body: what each runs; it is pickled. It says when it serves, and returns when it is
                told to stop.
            inherited: files of this process that they have too, by the same numbers.
            stopping: called before all of them are told to stop.
        """
        self._children = [_Child(number, body, inherited) for number in range(many)]
        self._stopping = stopping

    @property
    def pids(self) -> list[int]:
        """The ids of those that run."""
        return [child.pid for child in self._children if child.pid is not None]

    def start(self, stop: Stop) -> bool:
        """Start them; whether all serve, or `stop` came first.

        Raises:
            LabError: one can't serve: what it says.
        """
        for child in self._children:
            child.start()
        while not stop.wait(LOOK_S):
            for child in self._children:
                child.look()
            if all(child.serves for child in self._children):
                return True
        return False

    def look_after(self, stop: Stop) -> None:
        """Replace those that die, until `stop`."""
        while not stop.wait(LOOK_S):
            for child in self._children:
                child.look()

    def close(self) -> None:
        """Let all of them stop in good order; those that don't are killed."""
        self._stopping()
        try:
            for child in self._children:
                child.tell_to_stop()
            with suppress(WaitedTooLong):
                wait_until(lambda: not self._still_there(), ALL_STOP_WITHIN_S)
        finally:  # a Ctrl-C too
            for child in self._children:
                child.kill()

    def _still_there(self) -> bool:
        return any(child.is_there for child in self._children)

    def __enter__(self) -> Self:
        """Nothing more."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop them all."""
        self.close()


class _Child:
    """One place, and the process that has it at present."""

    def __init__(
        self, number: int, body: Callable[[Place], None], inherited: Sequence[int]
    ) -> None:
        self._number, self._body, self._inherited = number, body, inherited
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None
        self._begun = self._due = 0.0
        self._pause_s = 0.0
        self.serves = self._has_served = False
        self._failed: LabError | None = None
        self._was_asked = False

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def is_there(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start a process here."""
        self.serves = self._was_asked = False
        self._failed = None
        self._begun = time.monotonic()
        self._line, its_end = Pipe()
        end = its_end.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labs.queue_service.serving_process", str(end)],
            stdin=subprocess.DEVNULL,
            pass_fds=(end, *self._inherited),
            start_new_session=True,  # a Ctrl-C at the terminal is for the parent
        )
        its_end.close()
        with suppress(OSError):  # it has died already
            self._line.send((self._number, self._body))

    def look(self) -> None:
        """Hear what it says; replace it if it has died.

        Raises:
            LabError: none could serve here yet, and this is why.
        """
        if self._process is None:
            if time.monotonic() >= self._due:
                self.start()
            return
        code = self._process.poll()  # before its last words are read
        self._hear()
        if code is None:
            return
        if self._failed is not None and not self._has_served:
            raise self._failed
        lived_s = time.monotonic() - self._begun
        self._pause_s = 0.0 if lived_s >= STEADY_S else _longer(self._pause_s)
        self._due = time.monotonic() + self._pause_s
        when = f"in {self._pause_s:g} s" if self._pause_s else "now"
        why = _why(code, self._failed, was_asked=self._was_asked)
        log.warning("The serving process %d %s. Another takes its place %s.", self.pid, why, when)
        self._end()

    def tell_to_stop(self) -> None:
        """Say so, and go on."""
        if self._line is not None:
            with suppress(OSError):
                self._line.send(STOP)

    def kill(self) -> None:
        """End it at once, if it is still there."""
        if self._process is None:
            return
        if self.is_there:
            log.warning("The serving process %d has not stopped yet: it is killed.", self.pid)
            self._process.kill()
            self._process.wait()
        self._end()

    def _hear(self) -> None:
        assert self._line is not None
        with suppress(EOFError, OSError):
            while self._line.poll():
                said = self._line.recv()
                if said == SERVES:
                    self.serves = self._has_served = True
                elif said == ASKS_TO_STOP:
                    self._was_asked = True
                    self.tell_to_stop()
                elif isinstance(said, LabError):
                    self._failed = said

    def _end(self) -> None:
        assert self._line is not None
        self._line.close()
        self._process = self._line = None


def _longer(pause_s: float) -> float:
    return min(max(FIRST_PAUSE_S, 2 * pause_s), LONGEST_PAUSE_S)


def _why(code: int, failed: LabError | None, *, was_asked: bool) -> str:
    """How a process has ended, for the log."""
    if failed is not None:
        return f"could not serve: {failed} {failed.remedy}".rstrip(". ")
    if code == 0 and was_asked:
        return "has stopped, as it was asked to"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"has ended with exit status {code}"
