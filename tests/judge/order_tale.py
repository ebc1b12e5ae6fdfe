"""Journals of trials on a queue service, told by hand: one short line an event, as in `tale`."""

from __future__ import annotations

from typing import Any, Self

from tests.judge.tale import Tale

BUSY_S = 2.0


class OrderTale(Tale):
    """A journal in the making. The program is A; an order is known by its name.

    Unless it is said otherwise, each order is sent as the build 1000 and its place, without a key.
    The service behind is as simple as can be: what it has got it has, once for each build id.
    """

    def __init__(self, *orders: str, trial: str = "answers-lost", bad: str = "") -> None:
        super().__init__(
            "idempotent-start", copies=("A",), trial=trial, ground={"service": "queue-service"}
        )
        self._builds = {name: 1000 + n for n, name in enumerate((*orders, bad))}
        self._requests = 0
        self._has: dict[object, str] = {}
        self._late: dict[str, int] = {}
        for name in filter(None, (*orders, bad)):
            self._given(name, name == bad)
        self.started("A")

    @property
    def has(self) -> Any:
        """What the service has got: build id -> order."""
        return self._has

    def _given(self, name: str, bad: bool) -> None:
        # `x` and `x2` are alike: somebody wants the same thing twice.
        job = 0 if bad else 7000 + ord(name[0])
        data = {"body": name, "order": name, "wave": 1, "job": job, "job_name": f"job {name[0]}"}
        self.event("published", data=data | ({"bad": True} if bad else {}))

    def asked(self, order: str, method: str = "POST", **more: Any) -> Self:
        """A request came to the door."""
        self._requests += 1
        name = {"build": self._builds[order], "key": None} | more
        about = {"request": self._requests, "path": "/v1/queue/message", "order": order}
        body = {"sum": f"{order} {name['build']}"} | {k: v for k, v in more.items() if k == "sum"}
        self.event("asked", method, copy="A", data=about | name | body)
        return self

    def answered(self, status: int, *, heard: bool = True, **more: Any) -> Self:
        """The service said something to the last request."""
        told = {"created": status == 201, "replayed": False, "retry_after_s": None, "heard": heard}
        data = {"request": self._requests, "status": status} | told | more
        self.event("answered", copy="A", data=data)
        return self

    def goes_wrong(self, fault: str, **more: Any) -> Self:
        """A fault struck the last request."""
        asked = (e.data for e in self.events if e.kind == "asked")
        order = next(data["order"] for data in asked if data["request"] == self._requests)
        data = {"request": self._requests, "order": order, **more}
        self.event("fault", fault, copy="A", data=data)
        return self

    def gets(self, order: str, *, heard: bool = True, **name: Any) -> Self:
        """The service got the request that was just asked, and said whether it had it already."""
        build = name.get("build", self._builds[order])
        there = build in self._has
        self._has.setdefault(build, order)
        return self.answered(200 if there else 201, heard=heard)

    def sends(self, order: str, **name: Any) -> Self:  # type: ignore[override]
        """It sent an order, and heard that it is there."""
        return self.asked(order, **name).gets(order, **name)

    def loses_the_answer(self, order: str, **name: Any) -> Self:
        """It sent an order, which is there, and heard nothing."""
        return self.asked(order, **name).gets(order, heard=False, **name).goes_wrong("lose-answer")

    def loses_the_request(self, order: str, **name: Any) -> Self:
        """It sent an order, which never arrived."""
        return self.asked(order, **name).goes_wrong("lose-request")

    def hears_nothing(self, order: str, **name: Any) -> Self:
        """It sent an order, which is on its way."""
        self.asked(order, **name).goes_wrong("come-late")
        self._late[order] = self._requests
        return self

    def lets_through(self, order: str) -> Self:
        """What was on its way came to the service at last."""
        latest, self._requests = self._requests, self._late[order]
        self.gets(order, heard=False).goes_wrong("let-through")
        self._requests = latest
        return self

    def is_told_to_wait(self, order: str, **name: Any) -> Self:
        """It sent an order, and is to come again."""
        self.asked(order, **name).goes_wrong("busy")
        return self.answered(503, retry_after_s=BUSY_S)

    def is_refused(self, order: str, **name: Any) -> Self:
        """It sent an order, and the service does not take it."""
        return self.asked(order, **name).answered(422)

    def starts(self, *orders: str, **name: Any) -> Self:
        """It sent these, heard that they are there, and said so."""
        for order in orders:
            self.sends(order, **name).says("started", order)
        return self

    def says(self, word: str, *orders: str) -> Self:
        """It printed `started` or `refused`."""
        for order in orders:
            self.said("A", f"{word} {order}")
        return self

    def is_killed(self, *orders: str) -> Self:
        """The judge killed it while it waited, and started it again."""
        self.event("signal", "kill", copy="A", data={"orders": list(orders)})
        return self.exited("A", -9, asked=True).started("A")

    def ends(self, status: int = 0) -> Self:
        """It ended by itself, and the judge looked what is in the service."""
        return self.exited("A", status).looked_at()

    def hangs(self) -> Self:
        """It did not end."""
        self.event("signal", "terminate", copy="A")
        return self.exited("A", -15, asked=True).looked_at()

    def looked_at(self) -> Self:
        """What is in the service in the end."""
        for build, order in self._has.items():
            data = {"queue": "queue-service", "body": order, "order": order, "build": build}
            self.event("left", data=data | {"state": "queued"})
        return self
