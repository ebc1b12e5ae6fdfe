"""Claims that wait on the server for a task: however many wait, one thread does it for all.

That thread waits as the store can, with a notification or a look every half second. Then the
first in the line tries to claim; if it got something it wakes the next, for there may be more.
So nobody who waits keeps a thread from those who only want to say that a task is done.
"""

from __future__ import annotations

import asyncio
from collections import deque

from labs.errors import LabError
from labs.task_queue.queue import LOOK_S, TaskQueue

LEAST_S = 0.01
"""Between two looks: a store may say at once, each time, that there is something."""


class Bell:
    """Rings when there may be something to claim. Its coroutines are one event loop's."""

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue
        self._line: deque[asyncio.Future[None]] = deque()
        self._watch: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False
        """Nobody is to wait any more: the server is about to stop."""

    async def wait(self, timeout_s: float) -> None:
        """Return when it is this one's turn to try, at the latest after so long."""
        if self.closed:
            return
        self._loop = asyncio.get_running_loop()
        turn = self._loop.create_future()
        self._line.append(turn)
        if self._watch is None or self._watch.done():
            self._watch = self._loop.create_task(self._watching())
        try:
            await asyncio.wait_for(turn, timeout_s)
        except TimeoutError:
            pass
        finally:
            if turn in self._line:
                self._line.remove(turn)

    def wake_next(self) -> None:
        """Let the next in the line try."""
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def close(self) -> None:
        """Let all who wait try once more, and nobody wait again. From any thread."""
        self.closed = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        while self._line:
            self.wake_next()

    async def _watching(self) -> None:
        while self._line:
            try:
                await asyncio.to_thread(self._queue._wait, LOOK_S)
            except LabError:  # whoever is woken asks the store itself, and hears why
                await asyncio.sleep(LOOK_S)
            self.wake_next()
            await asyncio.sleep(LEAST_S)
