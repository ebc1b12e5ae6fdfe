"""Which lifelines a journal needs, as few as tell its story, and how they stand side by side.

Where the judge ran a program, each copy of it is one lifeline. In any other recording
a lifeline is a client: named as the client names its connection, else as the door of
the proxy that it came in by; connections that follow one another share one, those that
are open at the same time stand apart. The broker's queues stand in the middle: who
only publishes to the left, who consumes to the right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labs.journal import Event
from labs.pictures.sequence_steps import EDGE, Lifeline, Place, Step

PUBLISHES = {"basic.publish"}
CONSUMES = {"basic.consume", "basic.get"}


def queue_key(name: str) -> str:
    """The key of a queue's lifeline."""
    return f"queue {name}"


SERVICE = queue_key("queue-service")


def exchange_key(name: str) -> str:
    """The key of an exchange's lifeline."""
    return f"exchange {name}"


def copy_key(name: str) -> str:
    """The key of a client's lifeline."""
    return f"client {name}"


@dataclass
class Clients:
    """The lifelines of all clients: of each connection, of each copy."""

    of_connection: dict[int, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """The name at the head of each, by key, in the order of appearance."""
    publishes: set[str] = field(default_factory=set)
    consumes: set[str] = field(default_factory=set)
    of_a_service: bool = False
    """They are clients of the queue service, and of no broker."""

    def key(self, event: Event) -> str:
        """Whose lifeline an event belongs to; EDGE: nobody's."""
        if event.connection in self.of_connection:
            return self.of_connection[event.connection]
        key = copy_key(event.copy or "")
        return key if key in self.names else EDGE


def clients_of(events: Sequence[Event]) -> Clients:
    """Look at all events and decide who is who."""
    judged = any(event.kind == "started" for event in events)
    called = {} if judged else _called(events)
    clients = Clients()
    open_on: dict[str, set[int]] = {}
    parted: set[int] = set()
    for event in events:
        if judged and event.copy is not None:
            clients.names.setdefault(copy_key(event.copy), f"copy {event.copy}")
        clients.of_a_service |= event.kind == "published" and "order" in event.data
        number = event.connection
        if number is None:
            continue
        if number not in clients.of_connection:
            name = event.copy or "client"
            key = copy_key(called.get(number, name))
            key = key if judged else _free(key, open_on)
            clients.of_connection[number] = key
            clients.names.setdefault(key, key.removeprefix("client "))
        key = clients.of_connection[number]
        if event.kind == "disconnected" or event.name == "connection.close":
            parted.add(number)
        open_on[key] = (open_on.get(key, set()) | {number}) - parted
        if event.side == "client":
            clients.publishes |= {key} if event.name in PUBLISHES else set()
            clients.consumes |= {key} if event.name in CONSUMES else set()
    return clients


def _called(events: Sequence[Event]) -> dict[int, str]:
    """How clients name their own connections."""
    return {
        event.connection: str(name)
        for event in events
        if event.name == "connection.start-ok" and event.connection is not None
        if (name := (event.data.get("client_properties") or {}).get("connection_name"))
    }


def _free(key: str, open_on: Mapping[str, set[int]]) -> str:
    """The first lifeline of this name on which no connection is open."""
    number, free = 1, key
    while open_on.get(free):
        number += 1
        free = f"{key} ({number})"
    return free


def side_by_side(clients: Clients, steps: Sequence[Step]) -> tuple[Lifeline, ...]:
    """The lifelines that the steps touch, from left to right."""
    touched = dict.fromkeys(key for step in steps for key in (step.source, step.target))
    there = [key for key in clients.names if key in touched]
    left = [key for key in there if key in clients.publishes - clients.consumes]
    if not left or len(left) == len(there) > 2:
        left = there[: (len(there) + 1) // 2] if left else there[:1]
    right = [key for key in there if key not in left]
    middle = [_of_the_broker(key) for key in touched if key.startswith(("queue ", "exchange "))]
    middle.sort(key=lambda lifeline: lifeline.place is Place.QUEUE)  # exchanges come first
    if not middle:
        broker = Lifeline(EDGE, "the broker", Place.BROKER)
        middle = [_of_the_broker(SERVICE) if clients.of_a_service else broker]
    return (
        *(Lifeline(key, clients.names[key], Place.CLIENT) for key in left),
        *middle,
        *(Lifeline(key, clients.names[key], Place.CLIENT) for key in right),
    )


def _of_the_broker(key: str) -> Lifeline:
    place, name = key.split(" ", 1)
    return Lifeline(key, key if place == Place.EXCHANGE else name, Place(place))
