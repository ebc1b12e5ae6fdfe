"""Requests to a queue service, and what is said to them, as steps of a diagram.

An order is what a message is in other pictures: the body that a step is about. The service
has one lifeline, to which the program's requests go; an answer that nobody heard is an arrow
that does not arrive. What a door's faults are called is here, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labs.journal import Event
from labs.pictures.sequence_lifelines import SERVICE, Clients
from labs.pictures.sequence_steps import Fate, Kind, Step

SAID = re.compile(r"\s*(?:\[[^\]]*\]\s*)?(started|refused)\s+(.*?)\s*", re.IGNORECASE)
FAULTS = {
    "lose-answer": "the answer gets lost",
    "lose-request": "the request gets lost",
    "come-late": "the request is long on its way",
    "let-through": "the late request arrives",
    "busy": "too much to do",
    "service-away": "is restarted",
    "service-back": "is back",
    "hold-answer": "no answer comes",
    "hold-request": "the request does not arrive",
}
OF_THE_SERVICE = {"let-through", "busy", "service-away", "service-back"}
"""Faults that befall the service; the others, its client."""


class Requests:
    """Steps of events that tell of orders: `step`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._orders: set[str] = set()
        self._asked: dict[int, str] = {}

    def step(self, event: Event) -> Step | None:
        """The step that an event is; None: it is none of these."""
        data = event.data
        if event.kind == "published" and "order" in data:
            self._orders.add(data["order"])
            step = self._step(event, Kind.NOTE, "in the file:", data["order"])
            return replace(step, source=next(iter(self._clients.names), ""), quiet=True)
        if event.kind == "asked":
            self._asked[data["request"]] = str(data.get("order") or data.get("path"))
            return self._arrow(event, Kind.PUBLISH, event.name, _name_in(data))
        if event.kind == "answered":
            kind = Kind.CONFIRM if data["status"] < 300 else Kind.REFUSE
            back = self._arrow(event, kind, str(data["status"]), _said_in(data))
            fate = Fate.ARRIVED if data["heard"] else Fate.SWALLOWED
            return replace(back, source=back.target, target=back.source, fate=fate)
        if event.kind == "fault" and event.name in FAULTS:
            step = self._step(event, Kind.BLOW, FAULTS[event.name], data.get("order", ""))
            return replace(step, source=SERVICE) if event.name in OF_THE_SERVICE else step
        said = SAID.fullmatch(str(data.get("text", ""))) if event.kind == "line" else None
        if said and said[2] in self._orders:
            return self._step(event, Kind.SAY, said[1].lower(), said[2])
        return None

    def _arrow(self, event: Event, kind: Kind, verb: str, after: str) -> Step:
        step = self._step(event, kind, verb, self._asked[event.data["request"]])
        return replace(step, target=SERVICE, after=after)

    def _step(self, event: Event, kind: Kind, verb: str, order: str) -> Step:
        bodies = (order,) if order else ()
        at = self._clients.key(event)
        return Step(kind, event.at_s, (event.n,), at, "", verb, order, bodies=bodies)


def _name_in(data: Mapping[str, Any]) -> str:
    return f"as build {data['build']}" if data.get("build") is not None else ""


def _said_in(data: Mapping[str, Any]) -> str:
    if data.get("retry_after_s") is not None:
        return f"come again after {data['retry_after_s']:g} s"
    if data.get("replayed"):
        return "as the first time"
    return "there already" if data["status"] == 200 else ""
