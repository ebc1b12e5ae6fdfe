"""Why a private node did not start: from what it said to a sentence and a remedy.

A table: the first row whose mark is in the node's words tells. Where none does,
the words themselves are shown, and what always helps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labs.broker.nodefiles import NodeFiles
from labs.errors import BrokerFailed

AFRESH = "`labs down --wipe` and `labs up` start afresh; queues and messages are then gone."
FIRST_ERRORS, LAST_LINES = 6, 8


class PortTaken(BrokerFailed):
    """Raised when somebody took one of the node's ports between the look and the bind."""


@dataclass(frozen=True)
class Death:
    """One way for a node to fail: marks in its words, and what they mean."""

    marks: tuple[str, ...]
    what: str
    remedy: str
    kind: type[BrokerFailed] = BrokerFailed


DEATHS = (
    Death(
        ("eaddrinuse", "address already in use"),
        "one of its ports was taken by another program.",
        "Try again; `labs doctor` shows who has which port.",
        PortTaken,
    ),
    Death(
        ("enospc", "no space left"),
        "the disk is full.",
        "Make room, or set LABS_HOME to a folder on another disk; then `labs up` again.",
    ),
    Death(
        ("cookie file", "Bad cookie"),
        "its Erlang cookie must be readable by you alone, and this disk can't keep that.",
        "Set LABS_HOME to a folder in your home directory on the system's own disk.",
    ),
    Death(
        ("eacces", "permission denied"),
        "it may not read or write its own folder.",
        "Were files made there as another user (root)? Give them back with chown, or delete them.",
    ),
    Death(
        ("incompatible_feature_flags", "newer than", "downgrade"),
        "its data were written by another version of RabbitMQ.",
        AFRESH,
    ),
)


def death_of(files: NodeFiles) -> BrokerFailed:
    """The exception that tells why the node ended, with the telling lines of its log."""
    said = files.said()
    lines = telling(said) or "(it said nothing)"
    for death in DEATHS:
        if any(mark.lower() in said.lower() for mark in death.marks):
            return death.kind(
                f"RabbitMQ did not start: {death.what} From its log:\n{lines}",
                remedy=death.remedy,
            )
    return BrokerFailed(
        f"RabbitMQ ended before it was ready. From its log:\n{lines}",
        remedy=f"The whole log is {files.log}. {AFRESH}",
    )


def telling(said: str) -> str:
    """The first lines that are errors, and the last lines of all.

    When Erlang ends on an error its last words are long and say little; the reason
    was given before them.
    """
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\[error\].*\w+ \w+|ERROR", line)]
    last = [line for line in lines[-LAST_LINES:] if line not in errors[:FIRST_ERRORS]]
    return "\n".join([*errors[:FIRST_ERRORS], *last])
