"""What a trial is to do, as values: its steps, its messages, its faults, and what it waits for.

A `Plan` is one trial of an exercise, the same for every learner; a `Setting` is what
the trials of one check have in common: whose program, which broker, which seed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from labs.broker.state import FoundBroker
from labs.judge.bodies import Wave
from labs.judge.leftovers import Note
from labs.judge.service_faults import ServiceFault
from labs.proxy.faults import Fault

OnTrial = TypeVar("OnTrial", contravariant=True)
"""The kind of trial: over RabbitMQ (`labs.judge.trial`), a log (`labs.judge.log_trial`), a task
table (`labs.judge.table_trial`), a queue service (`labs.judge.service_trial`)."""

WAITS: Mapping[str, str] = {
    "ready": "the program to connect, declare the queue and consume it",
    "done": "every message to be done",
    "settled": "every message to be settled and the queue to be empty",
    "in-work": "the program to be in the middle of a message's work",
    "taken-over": "the other copy to do what the frozen one held",
    "again": "the program to be at work again",
    "published": "the program to publish what it had read",
    "sent": "the program to say that it had sent what it had read",
    "exit": "the program to end after the end of its input",
    "end": "the program to end",
    "taking-part": "each copy to take part",
    "committed": "everything to be committed",
    "turn": "the judge's own turn to write to the database",
    "fault": "the moment at which the fault was to strike",
}
"""What a trial waits for, by its key in a note `gave-up`."""


class GaveUp(Exception):
    """Raised inside a trial when what it waits for will not come; it is noted by then."""


class Cancelled(Exception):
    """Raised inside a trial when the whole check is to end."""


class Step(Protocol[OnTrial]):
    """One thing to do in a trial of some kind; a frozen value."""

    def run(self, trial: OnTrial) -> None:
        """Do it; raises GaveUp when the steps after it make no sense any more."""


@dataclass(frozen=True)
class Plan(Generic[OnTrial]):
    """One trial as data."""

    name: str
    steps: tuple[Step[OnTrial], ...]
    waves: tuple[Wave, ...]
    copies: tuple[str, ...] = ("A",)
    faults: tuple[Fault, ...] = ()
    delay_s: float = 0.01
    """The work on a body lasts so long for each of its characters."""
    restarts: bool = False
    """Whether the broker is to be restarted."""
    keeps_state: bool = False
    """Whether the copies share a folder that outlives them."""
    unready: int = 0
    """For jobs: so many of the first wave are not ready until the judge says so."""
    lease_s: float | None = None
    """For tasks: how long a claim holds; None: for ever."""
    service_faults: tuple[ServiceFault, ...] = ()
    """For orders: what goes wrong between the program and the queue service."""
    alike: tuple[int, int] | None = None
    """For orders: the places of two that differ in their names alone."""
    bad: int | None = None
    """For orders: the place of one that the service refuses."""


@dataclass(frozen=True)
class Setting:
    """What all trials of one check have in common."""

    exercise: str
    program: str
    """`worker` or `producer`."""
    command: tuple[str, ...]
    broker: FoundBroker | None
    """The RabbitMQ that trials run on; None: they need none."""
    seed: str
    mark: str
    """Marks the processes of this check."""
    note: Note
    folder: Path
    """A folder for what the programs keep; it is deleted in the end."""
    cwd: Path | None
    cancelled: threading.Event
