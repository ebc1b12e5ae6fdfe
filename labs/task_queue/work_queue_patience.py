"""Patience with a worker that is out of reach: when to ask it again, and what it said."""

from __future__ import annotations

import logging
import time

from labs.errors import LabError

log = logging.getLogger(__name__)

WHY_CHARACTERS = 2000


class Patience:
    """When a worker that was out of reach is to be asked again."""

    def __init__(self, first_pause_s: float, longest_pause_s: float) -> None:
        self.reason = ""
        """Why it is out of reach, in words; empty while it is not."""
        self._first_pause_s, self._longest_pause_s = first_pause_s, longest_pause_s
        self._tries = 0
        self._until = 0.0

    @property
    def resting(self) -> bool:
        """Whether it is not to be asked yet."""
        return bool(self.reason) and time.monotonic() < self._until

    @property
    def left_s(self) -> float:
        """For how much longer."""
        return max(0.0, self._until - time.monotonic()) if self.reason else 0.0

    def rest(self, error: BaseException) -> None:
        """It did not answer."""
        pause_s = min(self._first_pause_s * 2.0 ** min(self._tries, 60), self._longest_pause_s)
        self._tries += 1
        self.reason = said(error)
        self._until = time.monotonic() + pause_s
        log.warning("The worker is out of reach; next try in %.3g s: %s", pause_s, self.reason)

    def well(self) -> None:
        """It answered."""
        if self.reason:
            log.warning("The worker answers again.")
        self.reason, self._tries = "", 0


def said(error: BaseException) -> str:
    """What an exception says, in one piece that is not too long."""
    text = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
    return text if len(text) <= WHY_CHARACTERS else f"{text[:WHY_CHARACTERS]}…"
