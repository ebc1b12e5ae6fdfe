"""What the requests to a queue service tell: each order's life, from file to service. Pure.

An order is known by its name in the file, which the program sends along. An `asked` event is one
request as it came to the door of the service, an `answered` event what the service made of
it (`heard`: whether the program was given that answer), a `fault` what was done to it. What
is in the service in the end are the `left` events.

A *try* is a POST about an order. What it calls the order are two things: the build id and the
header Idempotency-Key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labs.journal import Event
from labs.judge.history import History, read_line
from labs.judge.lives import Process

STARTED, REFUSED = "started", "refused"
WORDS = (STARTED, REFUSED)
TRIED = "POST"


@dataclass(slots=True, eq=False)
class Request:
    """One request of the program's, and what became of it."""

    event: Event
    process: Process | None
    answer: Event | None = None
    """What the service said, whether the program heard it or not."""
    faults: list[Event] = field(default_factory=list)

    @property
    def method(self) -> str:
        """Such as `POST`."""
        return self.event.name

    @property
    def build(self) -> object:
        """The build id that it gave."""
        return self.event.data.get("build")

    @property
    def key(self) -> str | None:
        """Its Idempotency-Key; None: it had none."""
        return self.event.data.get("key")

    @property
    def name(self) -> tuple[object, str | None]:
        """What it called the order."""
        return self.build, self.key

    @property
    def body_sum(self) -> str:
        """Tells its body from others."""
        return str(self.event.data.get("sum", ""))

    @property
    def heard(self) -> Event | None:
        """The answer, if the program was given one."""
        return self.answer if self.answer and self.answer.data.get("heard") else None

    @property
    def status(self) -> int | None:
        """The status that the program heard; None: there was no answer."""
        return int(self.heard.data["status"]) if self.heard else None

    @property
    def said_yes(self) -> bool:
        """Whether the program heard that the order is there, for the first time or already."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def said_no(self) -> bool:
        """Whether the program heard that more tries would not help."""
        return self.status is not None and 400 <= self.status < 500 and self.status != 429

    @property
    def retry_after_s(self) -> float | None:
        """How long the program is to wait, as it was told."""
        wait_s = self.heard.data.get("retry_after_s") if self.heard else None
        return None if wait_s is None else float(wait_s)


@dataclass(frozen=True, slots=True)
class Said:
    """A line `started ORDER` or `refused ORDER`."""

    word: str
    event: Event
    process: Process | None


@dataclass(slots=True, eq=False)
class Order:
    """One order and what became of it."""

    name: str
    given: Event
    tries: list[Request] = field(default_factory=list)
    shown: list[Event] = field(default_factory=list)
    """Answers in which the program saw that the service has it."""
    said: list[Said] = field(default_factory=list)
    left: Sequence[Event] = ()
    """The messages in the service that are this order's, in the end."""

    @property
    def job(self) -> Any:
        """The job that it asks for."""
        return self.given.data.get("job")

    @property
    def is_bad(self) -> bool:
        """Whether the service can't but refuse it."""
        return bool(self.given.data.get("bad"))

    def says(self, word: str) -> list[Said]:
        """The lines with this word."""
        return [said for said in self.said if said.word == word]


@dataclass(frozen=True)
class Orders:
    """All orders of a run, and all requests."""

    history: History
    all: Sequence[Order]
    requests: Sequence[Request]

    @classmethod
    def of(cls, history: History) -> Orders:
        """The orders that a history tells of."""
        orders = {
            message.body: Order(message.body, message.published, left=message.left)
            for message in history.messages.values()
            if message.published and "order" in message.published.data
        }
        requests: dict[int, Request] = {}
        for event in history.events:
            number = event.data.get("request")
            if event.kind == "asked":
                request = requests[int(event.data["request"])] = Request(
                    event, _process(history, event)
                )
                order = orders.get(str(event.data.get("order")))
                if order and request.method == TRIED:
                    order.tries.append(request)
            elif event.kind == "answered":
                requests[int(event.data["request"])].answer = event
                for name in event.data.get("shows", ()):
                    orders[name].shown.append(event)
            elif event.kind == "fault" and number in requests:
                requests[int(number)].faults.append(event)
            elif event.kind == "line":
                word, name = read_line(event.data.get("text", ""), WORDS) or ("", "")
                if name in orders:
                    orders[name].said.append(Said(word, event, _process(history, event)))
        return cls(history, list(orders.values()), list(requests.values()))

    @property
    def good(self) -> list[Order]:
        """Those that can be started."""
        return [order for order in self.all if not order.is_bad]

    def are_alike(self, orders: Sequence[Order]) -> bool:
        """Whether these differ in nothing but their names."""
        return len({(order.job, order.given.data.get("job_name")) for order in orders}) == 1

    def settled(self) -> bool:
        """Whether the program has said of each order what became of it."""
        return all(order.said for order in self.all)


def _process(history: History, event: Event) -> Process | None:
    """Whose it is: that of the latest process of the copy by then."""
    mine = [p for p in history.processes if p.copy == event.copy and p.started.n < event.n]
    return mine[-1] if mine else None
