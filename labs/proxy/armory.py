"""The faults that are armed, how far each has counted, and which of them strikes now.

One armory serves all connections of a proxy. A fault that strikes once is disarmed by
its strike; what lasts stays until it is released.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from labs.proxy.faults import Delay, Fault, Here, HoldHeartbeats, Side


@dataclass(eq=False)
class Armed:
    """A fault that waits for its moment, or lasts."""

    fault: Fault
    counted: int = 0
    woken: set[int] = field(default_factory=set)
    """The connections on which it may strike, where it waits for something to happen first."""
    told: set[int] = field(default_factory=set)
    """The connections on which a lasting fault has been put on record."""


class Armory:
    """The armed faults, in the order of arming."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.armed = [Armed(fault) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Arm one more."""
        self.armed.append(Armed(fault))

    def release(self, fault: Fault) -> None:
        """Disarm it; one that isn't armed any more is no mistake."""
        self.armed = [armed for armed in self.armed if armed.fault != fault]

    def strikes(self, here: Here) -> list[Armed]:
        """Count this frame, and return what strikes at it."""
        striking = [armed for armed in self.armed if self._strikes(armed, here)]
        if striking:
            self.armed = [a for a in self.armed if a.fault.lasts or a not in striking]
        return striking

    def delays(self, side: Side, door: str) -> list[tuple[Armed, Delay]]:
        """What makes late that which this side sends through this door."""
        here = Here("", side, door, 0, 0, None, False)
        return [
            (armed, armed.fault)
            for armed in self.armed
            if isinstance(armed.fault, Delay) and armed.fault.meets(here)
        ]

    @staticmethod
    def _strikes(armed: Armed, here: Here) -> bool:
        fault = armed.fault
        if isinstance(fault, HoldHeartbeats) and fault.after is not None:
            if fault.after.meets(here):
                armed.counted += 1
                if armed.counted >= fault.after.nth:
                    armed.woken.add(here.connection)
            return fault.meets(here) and here.connection in armed.woken
        if not fault.meets(here):
            return False
        armed.counted += 1
        return fault.lasts or armed.counted == fault.nth
