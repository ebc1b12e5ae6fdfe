"""Journals of trials on a log, told by hand: one short line an event, as in `tale`."""

from __future__ import annotations

from typing import Any, Self

from tests.judge.tale import Tale

TOPIC = "requests"


class LogTale(Tale):
    """A journal in the making. Records stand in partition 0 unless it is said otherwise."""

    def __init__(self, *, copies: tuple[str, ...] = ("A", "B"), trial: str = "killed") -> None:
        ground = {"topic": TOPIC, "group": "g", "partitions": 4}
        super().__init__("request-handler", copies=copies, trial=trial, ground=ground)
        self._offsets: dict[int, int] = {}
        self._places: dict[str, tuple[int, int]] = {}

    def put(self, *bodies: str, partition: int = 0, key: str = "k") -> Self:
        """The judge appended these to one partition."""
        for body in bodies:
            offset = self._offsets.get(partition, 0)
            self._offsets[partition], self._places[body] = offset + 1, (partition, offset)
            place: dict[str, Any] = {"key": key, "partition": partition, "offset": offset}
            self.event("published", data={"body": body, "wave": 1} | place)
        return self

    def began(self, *copies: str) -> Self:
        """These copies were started."""
        for copy in copies or ("A", "B"):
            self.started(copy)
        return self

    def committed(self, body: str, *, to: int | None = None) -> Self:
        """The judge saw the group's offset behind this record, or at another in its partition."""
        partition, offset = self._places[body]
        data = {"group": "g", "partition": partition, "offset": offset + 1 if to is None else to}
        self.event("committed", data=data)
        return self

    def did(self, copy: str, *bodies: str) -> Self:
        """It did these one after the other, and committed each."""
        for body in bodies:
            self.done(copy, body).committed(body)
        return self

    def laid_aside(self, body: str) -> Self:
        """It was seen on the topic for what failed."""
        self.event("appended", data={"topic": f"{TOPIC}.failed", "body": body, "key": "k"})
        return self

    def dies(self, copy: str, status: int = 1, *, saying: str = "") -> Self:
        """It ended by itself, with these last words."""
        self.exited(copy, status)
        return self.note("stderr", copy, tail=saying) if saying else self

    def is_killed(self, copy: str = "A") -> Self:
        """The judge killed it in the middle of its work."""
        self.event("signal", "kill", copy=copy)
        return self.exited(copy, -9, asked=True)
