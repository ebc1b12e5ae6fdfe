"""The few exceptions of the kit.

Each is something that a person can cause or meet: it says in words what
happened, and carries a remedy (what to do next) and an exit code. The command
line prints both and exits with the code; nothing else catches them. A
programming error is not one of these: it keeps its traceback.
"""

from __future__ import annotations

from typing import ClassVar


class LabError(Exception):
    """The base of all: `str(error)` says what happened, `error.remedy` what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy


class BadInput(LabError):
    """Raised when a value that a person gave cannot be meant: a URL, a name, a number."""

    exit_code = 2


class BrokerMissing(LabError):
    """Raised when there is no broker to use and none that could be started."""

    exit_code = 3


class BrokerUnreachable(LabError):
    """Raised when a broker that should be there does not answer, or refuses the login."""

    exit_code = 4


class BrokerFailed(LabError):
    """Raised when the kit started a broker and it did not become ready, or died."""

    exit_code = 5


class ManagementFailed(LabError):
    """Raised when the broker's management API refuses a call or does not answer."""

    exit_code = 6


class WaitedTooLong(LabError):
    """Raised when a condition did not come true before its deadline."""

    exit_code = 7


class WorkerFailed(LabError):
    """Raised when a worker that a notebook started ended in a way that nobody asked for."""

    exit_code = 8


class NotPossibleHere(LabError):
    """Raised when something needs more rights than one has here, such as on a class server."""

    exit_code = 9


class JupyterFailed(LabError):
    """Raised when JupyterLab does not start, with the last lines that it wrote."""

    exit_code = 10


class NotOpenYet(LabError):
    """Raised when a hint or a solution is asked for that is still to be earned."""

    exit_code = 11
