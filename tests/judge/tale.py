"""Journals told by hand, for tests of what is read from them: one short line an event.

A tale has its own clock: each event comes 10 ms after the one before, and `done` lets
the work's time pass first. Frames are as a real client and RabbitMQ send them, with
the tags counted, so that a test says only what it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from labs.journal import Event, Journal
from labs.judge.history import History

QUEUE = "work"


class Tale:
    """A journal in the making. Copies are named A and B; each uses one connection, one channel."""

    def __init__(
        self,
        exercise: str = "acknowledgements",
        *,
        copies: tuple[str, ...] = ("A", "B"),
        trial: str = "trial",
        delay_s: float = 0.1,
        ground: Mapping[str, Any] | None = None,
    ) -> None:
        self.now_s = 0.0
        self.delay_s = delay_s
        self._journal = Journal(clock=lambda: self.now_s)
        self._connection: dict[str, int] = {}
        self._connections = 0
        self._tag: dict[int, int] = {}
        self._tags: dict[tuple[str, str], int] = {}
        self._auto: set[str] = set()
        self._number: dict[str, int] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._delivered_at: dict[tuple[str, str], float] = {}
        data = {"exercise": exercise, "trial": trial, "delay_s": delay_s, "seed": "s"}
        data |= {"copies": list(copies)}
        self.event("run", data=data | dict(ground or {"queue": QUEUE}))

    @property
    def events(self) -> list[Event]:
        """The journal."""
        return list(self._journal.events)

    @property
    def history(self) -> History:
        """The journal, read."""
        return History.of(self.events)

    def event(self, kind: str, name: str = "", **more: Any) -> Event:
        """Append any event."""
        self.now_s += 0.01
        return self._journal.append(kind, name, **more)

    def wait(self, seconds: float) -> Self:
        """Let time pass."""
        self.now_s += seconds
        return self

    def frame(self, copy: str, side: str, name: str, channel: int = 1, **data: Any) -> Self:
        """A frame on the copy's latest connection."""
        self.event(
            "frame",
            name,
            copy=copy,
            connection=self._connection[copy],
            channel=channel,
            side=side,
            data=data,
        )
        return self

    # --- Programs ----------------------------------------------------------------------------

    def started(self, copy: str = "A") -> Self:
        """The copy was started."""
        self.event("started", copy=copy, data={"pid": 1, "command": ["x"]})
        return self

    def connected(self, copy: str = "A", *, heartbeat_s: int = 60) -> Self:
        """It opened a connection and a channel."""
        self._connections += 1
        self._connection[copy] = self._connections
        self.event("connected", copy=copy, connection=self._connections)
        self.frame(copy, "client", "connection.tune-ok", 0, heartbeat=heartbeat_s)
        self.frame(copy, "broker", "connection.open-ok", 0)
        return self

    def declared(self, copy: str = "A", queue: str = QUEUE, **flags: Any) -> Self:
        """It declared a queue, and the broker agreed."""
        asked: dict[str, Any] = {"durable": True, "arguments": {}, **flags}
        self.frame(copy, "client", "queue.declare", queue=queue, **asked)
        return self.frame(copy, "broker", "queue.declare-ok", queue=queue, message_count=0)

    def consuming(
        self,
        copy: str = "A",
        *,
        auto_ack: bool = False,
        prefetch: int = 0,
        queue: str = QUEUE,
    ) -> Self:
        """It consumes a queue."""
        if prefetch:
            self.frame(copy, "client", "basic.qos", prefetch_count=prefetch)
            self.frame(copy, "broker", "basic.qos-ok")
        if auto_ack:
            self._auto.add(copy)
        self.frame(copy, "client", "basic.consume", queue=queue, no_ack=auto_ack, consumer_tag="")
        return self.frame(copy, "broker", "basic.consume-ok", consumer_tag=f"c-{copy}")

    def worker(self, *copies: str, **how: Any) -> Self:
        """These copies start, connect and consume."""
        heartbeat_s = how.pop("heartbeat_s", 60)
        for copy in copies or ("A",):
            self.started(copy).connected(copy, heartbeat_s=heartbeat_s)
            self.declared(copy).consuming(copy, **how)
        return self

    def exited(self, copy: str = "A", status: int = 1, *, asked: bool = False) -> Self:
        """Its process ended."""
        self.event("exited", copy=copy, data={"status": status, "asked": asked})
        return self

    def stopped(self, *copies: str) -> Self:
        """The judge asked these copies to end, and they did."""
        for copy in copies or ("A",):
            self.event("signal", "terminate", copy=copy)
            self.lost(copy, by="client").exited(copy, -15, asked=True)
        return self

    def killed(self, copy: str = "A") -> Self:
        """The judge killed it; its connection ended."""
        self.event("signal", "kill", copy=copy)
        self.lost(copy, by="client")
        return self.exited(copy, -9, asked=True)

    def lost(self, copy: str = "A", *, by: str = "proxy") -> Self:
        """Its connection ended without good-bye."""
        self.event(
            "disconnected",
            copy=copy,
            connection=self._connection[copy],
            data={"by": by, "how": "reset"},
        )
        return self

    def fault(self, name: str, copy: str | None = "A", **data: Any) -> Self:
        """A fault struck."""
        self.event("fault", name, copy=copy, data=data)
        return self

    def note(self, name: str, copy: str | None = None, **data: Any) -> Self:
        """The judge noted something."""
        self.event("note", name, copy=copy, data=data)
        return self

    def said(self, copy: str, text: str) -> Self:
        """It printed a line."""
        self.event("line", copy=copy, data={"text": text})
        return self

    # --- Messages for workers ----------------------------------------------------------------

    def published(self, *bodies: str) -> Self:
        """The judge published these."""
        for body in bodies:
            self.event("published", data={"body": body, "message_id": f"id-{body}", "wave": 1})
        return self

    def delivered(
        self,
        copy: str,
        body: str,
        *,
        redelivered: bool = False,
        swallowed: bool = False,
        queue: str = QUEUE,
    ) -> Self:
        """The broker sent it to the copy's consumer."""
        connection = self._connection[copy]
        self._tag[connection] = self._tags[copy, body] = self._tag.get(connection, 0) + 1
        gone: Mapping[str, Any] = {"swallowed": True} if swallowed else {}
        self.frame(
            copy,
            "broker",
            "basic.deliver",
            consumer_tag=f"c-{copy}",
            delivery_tag=self._tags[copy, body],
            redelivered=redelivered,
            exchange="",
            routing_key=queue,
            **gone,
        )
        self._content(copy, "broker", body, {"message_id": f"id-{body}"}, gone)
        self._delivered_at[copy, body] = self.now_s
        return self

    def done(self, copy: str, body: str, *, soon: bool = False) -> Self:
        """It printed that it was done; `soon`: before the work's time was over."""
        began_s = self._delivered_at.get((copy, body), self.now_s)
        if not soon:
            self.now_s = max(self.now_s, began_s + len(body) * self.delay_s)
        return self.said(copy, f"done {body}")

    def acked(self, copy: str, body: str, *, multiple: bool = False, **more: Any) -> Self:
        """It acknowledged it."""
        tag = self._tags[copy, body]
        return self.frame(copy, "client", "basic.ack", delivery_tag=tag, multiple=multiple, **more)

    def rejected(self, copy: str, body: str, *, requeue: bool = False) -> Self:
        """It rejected it."""
        tag = self._tags[copy, body]
        return self.frame(copy, "client", "basic.reject", delivery_tag=tag, requeue=requeue)

    def handled(self, copy: str, *bodies: str) -> Self:
        """It got these, one after the other, did and acknowledged them."""
        for body in bodies:
            self.delivered(copy, body).done(copy, body).acked(copy, body)
        return self

    def left(self, body: str, queue: str = QUEUE, **more: Any) -> Self:
        """The judge found it in a queue at the end."""
        data = {"queue": queue, "body": body, "message_id": f"id-{body}", **more}
        self.event("left", data=data)
        return self

    def refused(self, copy: str, code: int, text: str) -> Self:
        """The broker closed the channel."""
        return self.frame(copy, "broker", "channel.close", reply_code=code, reply_text=text)

    # --- Lines for producers -----------------------------------------------------------------

    def producer(self, *, confirms: bool = False, **flags: Any) -> Self:
        """The producer started, connected and declared the queue."""
        self.started().connected().declared(**flags)
        if confirms:
            self.frame("A", "client", "confirm.select").frame("A", "broker", "confirm.select-ok")
        return self

    def given(self, *bodies: str) -> Self:
        """The producer's standard input got these lines."""
        for body in bodies:
            self.event("input", copy="A", data={"text": body})
        return self

    def input_ended(self) -> Self:
        """The producer's standard input ended."""
        return self.note("end-of-input", "A")

    def sends(
        self,
        body: str,
        *,
        key: str = QUEUE,
        exchange: str = "",
        mandatory: bool = False,
        swallowed: bool = False,
        copy: str = "A",
        **properties: Any,
    ) -> Self:
        """The program published it."""
        gone: Mapping[str, Any] = {"swallowed": True} if swallowed else {}
        self._number[copy] = self._numbers[copy, body] = self._number.get(copy, 0) + 1
        self.frame(
            copy,
            "client",
            "basic.publish",
            exchange=exchange,
            routing_key=key,
            mandatory=mandatory,
            **gone,
        )
        self._content(copy, "client", body, properties, gone)
        return self

    def confirmed(self, body: str, *, multiple: bool = False) -> Self:
        """The broker confirmed it."""
        number = self._numbers["A", body]
        return self.frame("A", "broker", "basic.ack", delivery_tag=number, multiple=multiple)

    def returned(self, body: str) -> Self:
        """The broker returned it."""
        self.frame("A", "broker", "basic.return", reply_code=312, routing_key=QUEUE)
        self._content("A", "broker", body, {}, {})
        return self

    def sent(self, *bodies: str) -> Self:
        """The producer said that they were sent."""
        for body in bodies:
            self.said("A", f"sent {body}")
        return self

    def _content(
        self,
        copy: str,
        side: str,
        body: str,
        properties: Mapping[str, Any],
        gone: Mapping[str, Any],
    ) -> None:
        size = len(body.encode())
        self.frame(copy, side, "header", body_size=size, properties=dict(properties), **gone)
        if size:
            self.frame(copy, side, "body", size=size, text=body, **gone)
