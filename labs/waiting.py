"""The one polling loop of the kit.

Whatever must wait for something outside (a port, a process, a queue) names a
condition and a deadline and waits here. Nothing else sleeps and hopes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from labs.errors import WaitedTooLong

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | None],
    timeout_s: float,
    *,
    what: str = "the condition",
    interval_s: float = 0.05,
) -> T:
    """Call `condition` until it returns something true, and return that.

    It is called once at least, and once more at the deadline, so that a slow
    machine is not accused of what was true all along. What `condition` raises
    goes through.

    Raises:
        WaitedTooLong: `timeout_s` seconds have passed; `what` says for what.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        last_look = time.monotonic() >= deadline
        if result := condition():
            return result
        if last_look:
            raise WaitedTooLong(
                f"Waited {timeout_s:g} s for {what}, in vain.",
                remedy="Look at `labs status` and try again.",
            )
        time.sleep(max(0.0, min(interval_s, deadline - time.monotonic())))
