"""A thread that makes calls for another, so that nobody need wait for them for ever.

It makes one call after the other; who asks for one gets an `Answer`, waits for as long as it
likes, and may give it up. The thread dies with the process. Handing a call over and back
is on the way of each request, so it is done with as little as possible: a lock, not an event.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class TooLate(Exception):
    """Raised when an answer has not come in time."""


class Answer(Generic[T]):
    """What a call returns or raises, once it is over."""

    def __init__(self, call: Callable[[], T]) -> None:
        """`call` is made by `make`, in whatever thread that is called."""
        self._call = call
        self._returned: list[T] = []
        self._raised: BaseException | None = None
        self._pending = threading.Lock()
        self._pending.acquire()

    def make(self) -> None:
        """Make the call, and wake who waits for it."""
        try:
            self._returned.append(self._call())
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for it
            self._raised = error
        finally:
            self._pending.release()

    def wait(self, timeout_s: float) -> bool:
        """Whether the call is over, after waiting for it."""
        if not self._pending.acquire(timeout=timeout_s):
            return False
        self._pending.release()
        return True

    def result(self, timeout_s: float) -> T:
        """What the call returned, or raised.

        Raises:
            TooLate: it is not over in time.
        """
        if not self.wait(timeout_s):
            raise TooLate
        if self._raised is not None:
            raise self._raised
        return self._returned[0]


class Aside:
    """A thread that makes one call after another; it begins with the first."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._todo: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def begin(self, call: Callable[[], T]) -> Answer[T]:
        """Let it make this call, after those that it was asked for before."""
        answer = Answer(call)
        if self._thread is None:
            self._thread = threading.Thread(
                target=_live, args=(self._todo,), name=self._name, daemon=True
            )
            self._thread.start()
        self._todo.put(answer.make)
        return answer

    def rest(self) -> None:
        """End the thread, once it has nothing to do."""
        self._todo.put(None)


def _live(todo: SimpleQueue[Callable[[], None] | None]) -> None:
    while (make := todo.get()) is not None:
        make()
