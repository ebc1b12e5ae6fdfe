"""How many requests a second one principal may make: a bucket of tokens for each.

A bucket holds `burst` and is filled at `per_s`; a request takes one out, or is refused with the
time when there will be one. The clock is passed in, so this is arithmetic and nothing else. As
many buckets are kept as there is room for; one that is full again tells nothing, and goes first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from labs.queue_service.errors import Overloaded
from labs.task_queue.tasks import admitted_count, admitted_number

BUCKETS = 10_000


@dataclass
class RateLimit:
    """So many requests a second, of each principal.

    Args:
        per_s: on average.
        burst: at once, after a rest; 0: as many as in a second.
        most: principals that are known at a time. One too many and the one that has rested the
            longest is forgotten.

    Raises:
        BadTask: a number can't be meant.
    """

    per_s: float
    burst: float = 0.0
    most: int = BUCKETS
    _full_at: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    """When each bucket will be full, the last that was used last: of full ones nothing is kept."""

    def __post_init__(self) -> None:
        """Refuse what can't be meant."""
        admitted_number(self.per_s, "per_s", 0.001)
        admitted_count(self.most, "most", 1)
        self.burst = max(1.0, admitted_number(self.burst, "burst", 0) or self.per_s)

    def take(self, subject: str, now: float) -> None:
        """Let a request through.

        Args:
            now: seconds, by a clock that only goes forward.

        Raises:
            Overloaded: it is one too many; try again after `retry_after_s`.
        """
        full_at = max(now, self._full_at.pop(subject, now))
        full_then = full_at + 1 / self.per_s
        too_early_s = full_then - now - self.burst / self.per_s
        if too_early_s > 1e-9:
            self._full_at[subject] = full_at
            raise Overloaded(
                f"More than {self.per_s:g} requests a second have come from you.",
                retry_after_s=too_early_s,
                remedy=f"Try again in {max(too_early_s, 0.001):.3g} s, and make fewer.",
            )
        self._full_at[subject] = full_then
        while len(self._full_at) > self.most:
            del self._full_at[next(iter(self._full_at))]

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._full_at)
