"""What the queue service refuses, one error for each fault; the API answers each by its type.

What concerns a claim, or a store that does not answer, is the task queue's own error.
"""

from __future__ import annotations

from labs.errors import BadInput, LabError


class BadMessage(BadInput, ValueError):
    """Raised when a field of a message can't be meant; nothing has been stored."""

    def __init__(self, what: str, *, field: str, remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.field = field
        """As the caller spells it, with dots and indexes: `freezeWindows.0`."""


class UnknownMessage(LabError, KeyError):
    """Raised when there is no message, job or schedule of this id."""

    exit_code = 23

    def __str__(self) -> str:
        """The sentence itself: a KeyError would put it in quotes."""
        return str(self.args[0])


class KeyReused(LabError):
    """Raised when an idempotency key comes again with another request."""

    exit_code = 24


class Overloaded(LabError):
    """Raised when more requests wait than can be answered in time; try again after a pause."""

    exit_code = 25

    def __init__(self, what: str, *, retry_after_s: float, remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.retry_after_s = retry_after_s


class Forbidden(LabError):
    """Raised when a token is good, and does not have the scope that is needed."""

    exit_code = 26

    def __init__(self, what: str, *, need: str, got: tuple[str, ...], remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.need, self.got = need, got
