"""One request in a handler's hands, in a thread of its own, so that the replica can go on polling.

A handler is a plain function (or a `RequestHandler`) that takes a request's dict and returns
True (done) or False (not yet). Anything else, and whatever it raises, is a failure with its
reason in words; a verdict comes out in every case.
"""

from __future__ import annotations

import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labs.errors import BadInput
from labs.request_queue.events import What
from labs.request_queue.requests import Request

WHY_BYTES, TRACEBACK_BYTES = 2_000, 20_000


class RequestHandler(ABC):
    """A handler as a class: implement `handle_request`."""

    @abstractmethod
    def handle_request(self, request: dict[str, Any]) -> bool:
        """Do the request; True: it is done, False: not yet, put it back."""


Handler = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a handler ended: with `result`, or failed, for the reason `why`."""

    result: bool = False
    why: str = ""
    traceback: str = ""

    @property
    def failed(self) -> bool:
        """It is neither done nor to be put back."""
        return bool(self.why)


def callable_of(handler: RequestHandler | Handler) -> Handler:
    """The function that does the work.

    Raises:
        BadInput: there is none.
    """
    function = getattr(handler, "handle_request", handler)
    if not callable(function):
        raise BadInput(
            f"A handler must be callable or have handle_request, and this is a "
            f"{type(handler).__name__}.",
            remedy="Give a function that takes a request and returns True or False.",
        )
    return function


class Work:
    """A request being handled. The thread dies with the process: nobody waits for it for ever."""

    def __init__(self, handler: Handler, request: Request) -> None:
        """Begin."""
        self.request = request
        self.lost = False
        """The partition is another replica's by now: what comes out is nobody's any more."""
        self.settled: What | None = None
        """What became of it, if that was seen to while the partition was handed over."""
        self._handler = handler
        self._verdict = Verdict(why="The handler has not ended.")
        self._ended = threading.Event()
        threading.Thread(
            target=self._run, name=f"request {request.request_id[:40]}", daemon=True
        ).start()

    def wait(self, timeout_s: float) -> bool:
        """Whether the handler has ended, after waiting for it."""
        return self._ended.wait(timeout_s)

    @property
    def verdict(self) -> Verdict:
        """How it ended."""
        return self._verdict

    def _run(self) -> None:
        try:
            self._verdict = self._verdict_of(self._handler(self.request.body))
        except BaseException as error:  # noqa: BLE001 - sys.exit() in a handler is a failure too
            self._verdict = failure(error)
        finally:
            self._ended.set()

    def _verdict_of(self, result: object) -> Verdict:
        if result is True or result is False:
            return Verdict(result)
        returned = "None" if result is None else f"a {type(result).__name__}"
        return Verdict(
            why=f"The handler returned {returned}, neither True (done) nor False (not yet). "
            "Is a return forgotten?"
        )


def failure(error: BaseException) -> Verdict:
    """The verdict on a handler that raised."""
    what = "".join(traceback.format_exception_only(error)).strip()
    return Verdict(
        why=f"Unexpected exception: {what}"[:WHY_BYTES],
        traceback="".join(traceback.format_exception(error))[-TRACEBACK_BYTES:],
    )
