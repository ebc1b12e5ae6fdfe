"""What can go wrong between a program and a queue service, as frozen values, one method each.

A fault is for the first try of one order, by its place in the file, so that it strikes the
same whatever the order in which a program sends, and however many at a time. `strike` gets
the exchange (`labs.judge.service_door`): the request that has just come, and what can be done
with it. What a fault did stands in the journal as a `fault` event of its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from labs.judge.service_door import Exchange

COMES_LATE_S = 8.0
"""So long a request may be on its way while nobody sends another one in its place."""


class ServiceFault(Protocol):
    """A fault that strikes one order's first try."""

    @property
    def order(self) -> int:
        """Whose, counted from 0 in the file."""

    def strike(self, exchange: Exchange) -> None:
        """Do it, in the thread that serves the request."""


@dataclass(frozen=True)
class LoseAnswer:
    """The service does what it is asked; the connection is cut before it can say so."""

    order: int

    def strike(self, exchange: Exchange) -> None:
        """Hand the request on, and let nobody hear of it."""
        exchange.commit()
        exchange.told("lose-answer")
        exchange.cut()


@dataclass(frozen=True)
class LoseRequest:
    """The connection is cut before the service has the request."""

    order: int

    def strike(self, exchange: Exchange) -> None:
        """Cut it."""
        exchange.told("lose-request")
        exchange.cut()


@dataclass(frozen=True)
class ComeLate:
    """The request is on its way for longer than anybody waits: another try overtakes it."""

    order: int

    def strike(self, exchange: Exchange) -> None:
        """Let it through when the next try has its answer; its own goes nowhere."""
        exchange.told("come-late")
        if exchange.wait_for_next_try(COMES_LATE_S):
            exchange.commit()
            exchange.told("let-through")
        exchange.hold()


@dataclass(frozen=True)
class Busy:
    """The service has too much to do, and says when to come again: to everybody, for a while."""

    order: int
    for_s: int

    def strike(self, exchange: Exchange) -> None:
        """From now on refuse with 503 and Retry-After."""
        exchange.told("busy", for_s=self.for_s)
        exchange.door.be_busy(self.for_s)
        exchange.refuse()


@dataclass(frozen=True)
class Restart:
    """The service has done what it was asked, and is restarted before it can say so."""

    order: int
    away_s: float

    def strike(self, exchange: Exchange) -> None:
        """End the service and all connections; what it has stored it has when it is back."""
        exchange.commit()
        exchange.told("service-away", for_s=self.away_s)
        exchange.door.restart(self.away_s)
        exchange.told("service-back")
        exchange.cut()


@dataclass(frozen=True)
class HoldAnswer:
    """Nobody says anything: the trial will kill the program while it waits."""

    order: int
    committed: bool
    """Whether the service has got the request by then."""

    def strike(self, exchange: Exchange) -> None:
        """Keep the connection open, and silent."""
        if self.committed:
            exchange.commit()
        exchange.told("hold-answer" if self.committed else "hold-request")
        exchange.hold()
