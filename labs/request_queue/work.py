"""One request in a handler's hands, in a thread of its own, so that the replica can go on polling.

A handler is a plain function (or a `RequestHandler`) that takes a request's dict and returns
True (done) or False (not yet). Anything else, and whatever it raises, is a failure with its
reason in words; a verdict comes out in every case.
"""

from __future__ import annotations

import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labs.errors import BadInput
from labs.request_queue.aside import Answer, Aside
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
    """A request in a handler's hands."""

    def __init__(self, request: Request, answer: Answer[Verdict]) -> None:
        self.request = request
        self.lost = False
        """The partition is another replica's by now: what comes out is nobody's any more."""
        self.settled: What | None = None
        """What became of it, if that was seen to while the partition was handed over."""
        self._answer = answer

    def wait(self, timeout_s: float) -> bool:
        """Whether the handler has ended, after waiting for it."""
        return self._answer.wait(timeout_s)

    @property
    def verdict(self) -> Verdict:
        """How the handler ended. (Wait for it first.)"""
        return self._answer.result(0)


class Hands:
    """The thread in which a handler works. It dies with the process: nobody waits for it."""

    def __init__(self, handler: RequestHandler | Handler) -> None:
        """Raises `BadInput` for what is no handler."""
        self._handler = callable_of(handler)
        self._aside = Aside("request-handler")

    def begin(self, request: Request) -> Work:
        """Begin with a request; the one before it has ended."""
        return Work(request, self._aside.begin(lambda: self._handle(request)))

    def rest(self) -> None:
        """End the thread, once it has nothing in hand."""
        self._aside.rest()

    def _handle(self, request: Request) -> Verdict:
        process = os.getpid()
        try:
            return _verdict_of(self._handler(request.body))
        except BaseException as error:  # noqa: BLE001 - sys.exit() in a handler fails too
            return failure(error)
        finally:
            if os.getpid() != process:
                os._exit(1)  # a child that the handler has forked: it is no second replica


def _verdict_of(result: object) -> Verdict:
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
