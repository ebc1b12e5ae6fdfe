"""What a task queue refuses, one error for each fault, the same from every store.

Each also is what the known interface raised for it (`KeyError` for an unknown id, `ValueError`
for a value that can't be meant), so that clients which catch those go on working.
"""

from __future__ import annotations

from labs.errors import BadInput, LabError


class BadTask(BadInput, ValueError):
    """Raised when an id, a body, a number or a stage can't be meant; nothing has been stored."""


class TaskError(LabError):
    """The base of what is refused for the state in which a task is."""

    exit_code = 14


class UnknownTask(TaskError, KeyError):
    """Raised when no task has this id."""

    exit_code = 15

    def __str__(self) -> str:
        """The sentence itself: a KeyError would put it in quotes."""
        return str(self.args[0])


class WrongStage(TaskError):
    """Raised when a task is not in the stage from which the move leads (`stages.MOVES`)."""

    exit_code = 16


class ClaimLost(TaskError):
    """Raised when the caller does not hold the task, or no longer: its lease has run out,
    or another owner has claimed it."""

    exit_code = 17


class StoreUnreachable(LabError):
    """Raised when the database, the object store or the service does not answer.

    Whether the verb was carried out is open; it is safe to try again.
    """

    exit_code = 18


class StoreUnfit(LabError):
    """Raised at the start when a store can't keep what the queue promises."""

    exit_code = 19


class Unauthorised(LabError):
    """Raised when the service wants a token and got none, or another one."""

    exit_code = 22
