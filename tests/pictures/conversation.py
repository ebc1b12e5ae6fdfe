"""A journal written by hand, in the words of what happens: for tests of what draws it.

    talk = Conversation().starts("A").connects("A").consumes("A", "work", prefetch=1)
    talk.published("job-1").delivers("A", "job-1").says("A", "done job-1").acks("A", "job-1")
    draw_sequence(talk.events)

Each sentence adds the events that the judge's proxy would write for it. The clock goes
on by 10 ms an event; `waits` moves it further.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Self

from labs.journal import Event

HANDSHAKE = (
    ("client", "protocol-header"),
    ("broker", "connection.start"),
    ("client", "connection.start-ok"),
    ("broker", "connection.tune"),
    ("client", "connection.tune-ok"),
    ("client", "connection.open"),
    ("broker", "connection.open-ok"),
)


class Conversation:
    """The events so far: `events`."""

    def __init__(self, *, judged: bool = True, queue: str = "work", **run: Any) -> None:
        self.events: list[Event] = []
        self.queue = queue
        self._at_s = 0.0
        self._numbers = count(1)
        self._connection: dict[str, int] = {}
        self._tags: dict[int, int] = {}
        self._tag_of: dict[tuple[str, str], int] = {}
        if judged:
            run = {"exercise": "acknowledgements", "trial": "killed", "queue": queue, **run}
        self.add("run", data=run)

    def add(self, kind: str, name: str = "", **rest: Any) -> Self:
        """Any event at all."""
        self.events.append(Event(len(self.events), round(self._at_s, 6), kind, name, **rest))
        self._at_s += 0.01
        return self

    def waits(self, seconds: float) -> Self:
        """Nothing happens for so long."""
        self._at_s += seconds
        return self

    def frame(self, copy: str, side: str, name: str, channel: int = 1, **data: Any) -> Self:
        """One frame of the copy's connection."""
        connection = self._connection[copy]
        channel = 0 if name.startswith("connection.") else channel
        return self.add("frame", name, copy=copy, connection=connection, channel=channel,
                        side=side, data=data)  # fmt: skip

    def starts(self, copy: str) -> Self:
        return self.add("started", copy=copy, data={"pid": 4711})

    def connects(self, copy: str, *, heartbeat: int = 60, name: str = "") -> Self:
        self._connection[copy] = number = next(self._numbers)
        self._tags[number] = 0
        self.add("connected", copy=copy, connection=number, data={"client_port": 50000 + number})
        for side, frame in HANDSHAKE:
            data: dict[str, Any] = {}
            if frame == "connection.tune-ok":
                data = {"heartbeat": heartbeat}
            if frame == "connection.start-ok" and name:
                data = {"client_properties": {"connection_name": name}, "response": "…"}
            self.frame(copy, side, frame, **data)
        self.frame(copy, "client", "channel.open")
        return self.frame(copy, "broker", "channel.open-ok")

    def declares(self, copy: str, queue: str, **facts: Any) -> Self:
        self.frame(copy, "client", "queue.declare", queue=queue, **facts)
        return self.frame(copy, "broker", "queue.declare-ok", queue=queue)

    def consumes(self, copy: str, queue: str, *, prefetch: int = 0, auto_ack: bool = False) -> Self:
        self.declares(copy, queue, durable=True)
        if prefetch:
            self.frame(copy, "client", "basic.qos", prefetch_count=prefetch)
            self.frame(copy, "broker", "basic.qos-ok")
        self.frame(copy, "client", "basic.consume", queue=queue, consumer_tag="", no_ack=auto_ack)
        return self.frame(copy, "broker", "basic.consume-ok", consumer_tag="ctag1")

    def content(self, copy: str, side: str, method: str, body: str, /, **data: Any) -> Self:
        """A message: its method, its header and its body."""
        marks = {key: data.pop(key) for key in ("swallowed", "forged") if key in data}
        size = len(body.encode())
        properties = {"message_id": f"id of {body}"[:200]}
        self.frame(copy, side, method, **data, **marks)
        self.frame(copy, side, "header", body_size=size, properties=properties, **marks)
        text: dict[str, Any] = {"text": body} if size <= 400 else {}
        if size:
            self.frame(copy, side, "body", size=size, **text, **marks)
        return self

    def published(self, *bodies: str, wave: int = 1) -> Self:
        """By the judge, who needs no connection here."""
        for body in bodies:
            data = {"body": body, "message_id": f"id of {body}"[:200], "wave": wave}
            self.add("published", data=data)
        return self

    def delivers(self, copy: str, body: str, *, again: bool = False) -> Self:
        number = self._connection[copy]
        self._tags[number] += 1
        self._tag_of[copy, body] = tag = self._tags[number]
        return self.content(copy, "broker", "basic.deliver", body, consumer_tag="ctag1",
                            delivery_tag=tag, redelivered=again, exchange="",
                            routing_key=self.queue)  # fmt: skip

    def settles(self, copy: str, body: str, how: str, **data: Any) -> Self:
        tag = self._tag_of[copy, body]
        return self.frame(copy, "client", how, delivery_tag=tag, **data)

    def acks(self, copy: str, body: str, **data: Any) -> Self:
        return self.settles(copy, body, "basic.ack", **data)

    def says(self, copy: str, text: str) -> Self:
        return self.add("line", copy=copy, data={"text": text})

    def works(self, copy: str, body: str, *, again: bool = False, work_s: float = 0.1) -> Self:
        """A whole good life of a message at a copy."""
        self.delivers(copy, body, again=again).waits(work_s)
        return self.says(copy, f"done {body}").acks(copy, body)

    def publishes(self, copy: str, body: str, *, key: str | None = None, **data: Any) -> Self:
        data = {"exchange": "", "routing_key": self.queue if key is None else key, **data}
        return self.content(copy, "client", "basic.publish", body, **data)

    def confirms(self, copy: str, tag: int, how: str = "basic.ack", **data: Any) -> Self:
        return self.frame(copy, "broker", how, delivery_tag=tag, **data)

    def loses(self, copy: str, *, by: str = "client", how: str = "reset") -> Self:
        """Its connection ends."""
        number = self._connection[copy]
        data = {"by": by, "how": how}
        return self.add("disconnected", copy=copy, connection=number, data=data)

    def leaves(self, copy: str) -> Self:
        """Its connection ends as it should."""
        self.frame(copy, "client", "connection.close", reply_code=200, reply_text="Goodbye")
        self.frame(copy, "broker", "connection.close-ok")
        return self.loses(copy, how="closed")

    def is_killed(self, copy: str) -> Self:
        self.add("signal", "kill", copy=copy)
        return self.loses(copy).add("exited", copy=copy, data={"status": -9, "asked": True})

    def left(self, *bodies: str) -> Self:
        for body in bodies:
            self.add("left", data={"queue": self.queue, "body": body})
        return self


def killed_at_work(messages: int = 5, *, auto_ack: bool = False) -> Conversation:
    """Two copies share messages; A is killed in its work on the second that it has."""
    talk = Conversation(seed="7")
    bodies = [f"job-{number:02}" for number in range(1, messages + 1)]
    for copy in "AB":
        talk.starts(copy).connects(copy).consumes(copy, "work", prefetch=1, auto_ack=auto_ack)
    talk.published(*bodies)
    for number, body in enumerate(bodies):
        copy = "AB"[number % 2] if number < 2 else "B"
        if number == 2:
            talk.delivers("A", body).waits(0.1).is_killed("A")
            talk.works("B", body, again=True, work_s=0.6)
        else:
            talk.works(copy, body)
    return talk.add("note", "finished")
