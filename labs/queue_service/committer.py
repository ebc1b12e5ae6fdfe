"""Group commit: one thread carries out all operations that wait, together, and answers them.

Whoever asks waits for an answer, in a thread or on an event loop; meanwhile others come, and the
next round takes them all. So a costly step, such as a commit, is shared by as many as wait for
it. What is urgent goes first. What nobody waits for any more is left out; what was carried out
for somebody who has gone meanwhile is handed to `unwanted`. More than `max_waiting` are refused.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from labs.errors import LabError
from labs.queue_service.errors import Overloaded

log = logging.getLogger(__name__)

TAKEN_AT_ONCE = 256
"""Of each kind: so that a round never is long for those who come next."""
RETRY_AFTER_S = 1.0
SEVERAL = 4
GATHER_S = 0.003
"""So long a round waits for those who were answered by one of `SEVERAL` to ask again: rounds are
fewer, each for more, and the threads that ask and this one take Python's lock less often from each
other. Who asks alone never waits for it."""


class Asked:
    """An operation, and who waits for its answer."""

    __slots__ = ("_loop", "answer", "error", "future", "operation")

    def __init__(self, operation: Any, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Nothing is asked yet.

        Args:
            loop: of whoever awaits `future`; None: a thread waits for it.
        """
        self.operation = operation
        self.future: Any = Future() if loop is None else loop.create_future()
        self.answer: Any = None
        self.error: BaseException | None = None
        self._loop = loop

    @property
    def is_gone(self) -> bool:
        """Nobody waits for it any more."""
        return bool(self.future.cancelled())

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """On which it is awaited."""
        return self._loop

    def tell(self) -> bool:
        """Give the answer; whether there was somebody to take it."""
        if self._loop is None and not self.future.set_running_or_notify_cancel():
            return False
        if self.future.done():
            return False
        if self.error is None:
            self.future.set_result(self.answer)
        else:
            self.future.set_exception(self.error)
        return True


class Committer:
    """The thread, and what waits for it."""

    def __init__(
        self,
        carry_out: Callable[[Sequence[Asked]], Iterable[Asked]],
        *,
        name: str,
        max_waiting: int,
        unwanted: Callable[[Asked], None] = lambda _: None,
    ) -> None:
        """Start the thread.

        Args:
            carry_out: sets `answer` or `error` of what it is given, and returns what is to be
                told now: it may keep some for later. What it raises is everybody's answer.
            max_waiting: of the urgent ones, and as many of the others.
        """
        self._carry_out, self._unwanted = carry_out, unwanted
        self._max_waiting = max_waiting
        self._urgent: deque[Asked] = deque()
        self._others: deque[Asked] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many operations wait at present."""
        return len(self._urgent) + len(self._others)

    def submit(self, asked: Asked, *, urgent: bool = False) -> Asked:
        """Let it be carried out.

        Raises:
            Overloaded: too many wait, or this is closed.
        """
        with self._changed:
            line = self._urgent if urgent else self._others
            if self._closing or len(line) >= self._max_waiting:
                why = "is closing" if self._closing else f"has {len(line)} requests waiting"
                raise Overloaded(
                    f"The queue service {why}.",
                    retry_after_s=RETRY_AFTER_S,
                    remedy="Try again after a pause; a build is not enqueued twice.",
                )
            line.append(asked)
            self._changed.notify()
        return asked

    def close(self) -> None:
        """Carry out what waits, take nothing more, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while taken := self._take():
            self._tell(self._carried_out(taken))
            were_several = len(taken) >= SEVERAL
            del taken  # while it waits for more, it holds nobody's body
            if were_several and not self._closing:
                time.sleep(GATHER_S)

    def _take(self) -> list[Asked]:
        """All that wait, up to a limit; none once it is closed and all is done."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self.waiting or self._closing)
                if not self.waiting:
                    return []
                taken = [
                    line.popleft()
                    for line in (self._urgent, self._others)
                    for _ in range(min(len(line), TAKEN_AT_ONCE))
                ]
                if wanted := [asked for asked in taken if not asked.is_gone]:
                    return wanted

    def _carried_out(self, taken: list[Asked]) -> Iterable[Asked]:
        try:
            return self._carry_out(taken)
        except Exception as error:
            if not isinstance(error, LabError):
                log.exception("The queue service failed in an unforeseen way.")
            for asked in taken:
                asked.error = error
            return taken

    def _tell(self, done: Iterable[Asked]) -> None:
        by_loop = defaultdict(list)
        for asked in done:
            by_loop[asked.loop].append(asked)
        for loop, group in by_loop.items():
            if loop is None:
                self._tell_each(group)
                continue
            try:
                loop.call_soon_threadsafe(self._tell_each, group)
            except RuntimeError:  # the loop is closed: they have all gone
                for asked in group:
                    self._unwanted(asked)

    def _tell_each(self, group: list[Asked]) -> None:
        for asked in group:
            if not asked.tell():
                self._unwanted(asked)
