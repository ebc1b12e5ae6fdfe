"""The steps of a trial on a queue service, as frozen values: kill while it waits, see it end.

All else that goes wrong is the door's business (`labs.judge.service_faults`). `Start` is in
`labs.judge.steps`.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from labs.journal import Event
from labs.judge.orders import Order
from labs.judge.plan import GaveUp
from labs.judge.service_trial import ServiceTrial
from labs.judge.steps import START_S

QUIET_S = 5.0
"""Longer than anybody is told to wait: who says nothing for so long waits for ever."""
MOST_TRIES = 8
"""Whoever sends an order more often has shown what there is to see; a bad one, half as often."""
WATCHED_S = 2.5
"""So long it is watched all the same: whether the others are held up by it."""
ARRIVES_S = 0.1
"""What a program had sent before it stood still is at the door by then."""
HELD = ("hold-answer", "hold-request")


@dataclass(frozen=True)
class KillWhileItWaits:
    """Kill the program while it waits for an answer that is held back, and start it again."""

    def run(self, trial: ServiceTrial) -> None:
        """Kill it where it waits and has not tried again; else leave a note."""
        copy = trial.plan.copies[0]
        with suppress(GaveUp):
            wanted = lambda: _held(trial) or not trial.running()  # noqa: E731
            trial.wait("fault", wanted, quiet_s=QUIET_S, away_s=_away_s(trial))
        if trial.running() and _held(trial):
            trial.programs[copy].pause()
            trial.pause(ARRIVES_S)
            if held := [hold for hold in _held(trial) if _waits(trial, hold)]:
                trial.kill(copy, {"orders": [hold.data["order"] for hold in held]})
                trial.start(copy)
                return
            trial.programs[copy].resume()
        if not trial.history.struck("kill"):  # one kill may have struck all that waited
            why = "the program was never seen waiting for an answer"
            trial.note("fault-missed", fault="kill", why=why, by_chance=bool(_held(trial)))


@dataclass(frozen=True)
class Ends:
    """Wait until the program ends; one that goes round and round is not watched for long."""

    def run(self, trial: ServiceTrial) -> None:
        """Wait for its end; note where nothing was ever sent."""
        since: list[float] = []

        def astray() -> bool:
            if not since and any(map(_goes_round, trial.orders.all)):
                since.append(time.monotonic())
            return bool(since) and time.monotonic() - since[0] > WATCHED_S

        def over() -> bool:
            return not trial.running() or astray()

        try:
            trial.wait("end", over, quiet_s=QUIET_S, away_s=_away_s(trial))
        finally:
            if not trial.orders.requests:
                for copy, program in trial.programs.items():
                    trial.note("never-connected", copy=copy, elsewhere=program.peers())
        if trial.running():
            trial.give_up("end", "too-long")


def _away_s(trial: ServiceTrial) -> float:
    """As long as a program takes to start; not again for one that has sent nothing in that time."""
    return 0.0 if trial.gave_up and not trial.orders.requests else START_S


def _held(trial: ServiceTrial) -> list[Event]:
    """What is held back for the process that runs now."""
    kills = trial.history.struck("kill")
    return [e for e in trial.history.struck(*HELD) if not kills or e.n > kills[-1].n]


def _waits(trial: ServiceTrial, hold: Event) -> bool:
    """Whether it has not tried again what is held back."""
    tries = next(order.tries for order in trial.orders.all if order.name == hold.data["order"])
    return bool(tries[-1].event.data["request"] == hold.data["request"])


def _goes_round(order: Order) -> bool:
    most = MOST_TRIES // 2 if order.is_bad else MOST_TRIES
    return len(order.tries) >= most
