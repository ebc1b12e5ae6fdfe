"""Requests that were put back and are not due yet, in one partition; pure, no clock of its own.

A partition is read in order, so one that waits at its head lets nobody pass. It is moved to
the end while something behind it can be done now; when all that stand there wait too, the
partition is held until the first is due. Moves are bounded: a hundred at once, and then
a hundred a second, so that no number of waiting requests makes a hot loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labs.request_queue.log import Record

ATTEMPTS, NOT_BEFORE = "attempts", "not-before"
LOOK_S = 0.5
"""How long a held partition is left alone before one looks whether something new stands there."""
MOVE_S, BURST_S = 0.01, 1.0
LARGEST_NUMBER = 10**15
"""Of what is read: one that a float can hold. In ms it is the year 33658."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How often a request was put back, and from when on it may be tried again."""

    attempts: int = 0
    due_s: float = 0.0
    """Seconds since 1970."""

    def headers(self, others: Mapping[str, bytes]) -> dict[str, bytes]:
        """The record's headers, with this in them."""
        due_ms = round(self.due_s * 1000)
        return {
            **others,
            ATTEMPTS: str(self.attempts).encode(),
            NOT_BEFORE: str(due_ms).encode(),
        }


@dataclass(slots=True)
class Lane:
    """What we know of a partition's waiting requests: those that we put there ourselves."""

    known: dict[int, Waiting] = field(default_factory=dict)
    """By offset. A replica that takes the partition over learns as it goes."""
    moves_paid_until_s: float = 0.0

    def waiting(self, record: Record) -> Waiting:
        """How the record waits: as its headers say, or as we know (old brokers keep no headers)."""
        if NOT_BEFORE in record.headers or ATTEMPTS in record.headers:
            due_ms = _number(record.headers.get(NOT_BEFORE))
            return Waiting(_number(record.headers.get(ATTEMPTS)), due_ms / 1000)
        return self.known.get(record.offset, Waiting())

    def passed(self, offset: int) -> None:
        """The record at the offset is dealt with: forget what stands up to there."""
        for gone in [known for known in self.known if known <= offset]:
            del self.known[gone]

    def somebody_behind(self, record: Record, end: int, now_s: float) -> bool:
        """Whether something behind the record can be done now; `end`: the next record's offset."""
        behind = {at: waits for at, waits in self.known.items() if at > record.offset}
        strangers = end - (record.offset + 1) - len(behind)
        return strangers > 0 or any(waits.due_s <= now_s for waits in behind.values())

    def hold_s(self, record: Record, now_s: float) -> float:
        """How long to leave the partition alone, when nobody behind the record can be done."""
        due = [waits.due_s for at, waits in self.known.items() if at > record.offset]
        earliest = min([self.waiting(record).due_s, *due])
        return min(max(earliest - now_s, 0.0), LOOK_S)

    def until_move_s(self, now_s: float) -> float:
        """How long the next move must wait for its turn; 0: it need not."""
        return max(self.moves_paid_until_s - BURST_S - now_s, 0.0)

    def moved(self, now_s: float) -> None:
        """Count a move."""
        self.moves_paid_until_s = max(self.moves_paid_until_s, now_s) + MOVE_S


def pause_s(attempts: int, first_s: float, longest_s: float) -> float:
    """The pause after so many attempts: doubled each time, up to the longest."""
    return min(first_s * 2.0 ** min(attempts - 1, 64), longest_s)


def _number(header: bytes | None) -> int:
    """What somebody else wrote may be anything: what is no number counts as none."""
    try:
        return min(max(int(header or 0), 0), LARGEST_NUMBER)
    except ValueError:
        return 0
