"""What is known of a channel from what was said on it: enough to say what a frame is about.

Which queue a consumer consumes, which message a delivery tag stands for, whether
publishes are confirmed. Pure: it is told each method as it passes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labs.proxy.confirms import Confirms
from labs.proxy.faults import CLIENT, Side

SETTLING = frozenset({"basic.ack", "basic.nack", "basic.reject"})
DELIVERING = frozenset({"basic.deliver", "basic.get-ok"})


class Source(NamedTuple):
    """Where a channel's deliveries come from."""

    queue: str | None
    no_ack: bool


class Message(NamedTuple):
    """What is known of a message: its queue, and what names it to a person."""

    queue: str | None
    message_id: str | None = None
    body: str | None = None

    def named(self) -> dict[str, str]:
        """The names that it has, for a fault's record."""
        names = {"queue": self.queue, "message_id": self.message_id, "body": self.body}
        return {name: value for name, value in names.items() if value is not None}


LEARNED = SETTLING | {
    "basic.consume",
    "basic.consume-ok",
    "basic.get",
    "basic.get-empty",
    "confirm.select",
    "queue.declare-ok",
}
"""The methods without a message that `Channel.heard` learns from."""
NO_SOURCE = Source(None, True)


@dataclass
class Channel:
    """One channel of one connection."""

    confirms: Confirms | None = None
    """The confirms, once the client has asked for them."""
    deliveries: dict[int, Message] = field(default_factory=dict)
    """Those that the client has not settled yet, by delivery tag."""
    _consumers: dict[str, Source] = field(default_factory=dict)
    _asked: deque[Source] = field(default_factory=deque)
    """The `basic.consume`s that await their answer, which may bring their tag."""
    _got: deque[Source] = field(default_factory=deque)
    _declared: str = ""

    def queue_of(self, side: Side, name: str, data: Mapping[str, Any]) -> str | None:
        """The queue that this method is about, as far as one can tell."""
        if name == "basic.publish":
            return None if data["exchange"] else str(data["routing_key"])
        if name in DELIVERING:
            return self._source(name, data).queue
        if name in SETTLING and side == CLIENT:
            found = self.deliveries.get(data["delivery_tag"])
            return found.queue if found else None
        if "queue" in data:
            return str(data["queue"]) or self._declared
        return None

    def heard(self, side: Side, name: str, data: Mapping[str, Any]) -> None:
        """Learn from a method without content that passes, or is answered by ourselves."""
        if side == CLIENT:
            if name in SETTLING:
                self._settle(data["delivery_tag"], data.get("multiple", False))
            elif name == "basic.consume":
                source = Source(data["queue"] or self._declared, data["no_ack"])
                if data["no_wait"]:
                    self._consumers[data["consumer_tag"]] = source
                else:
                    self._asked.append(source)
            elif name == "basic.get":
                self._got.append(Source(data["queue"] or self._declared, data["no_ack"]))
            elif name == "confirm.select" and self.confirms is None:
                self.confirms = Confirms()
        elif name == "basic.consume-ok" and self._asked:
            self._consumers[data["consumer_tag"]] = self._asked.popleft()
        elif name == "basic.get-empty" and self._got:
            self._got.popleft()
        elif name == "queue.declare-ok":
            self._declared = data["queue"]

    def delivered(
        self, name: str, data: Mapping[str, Any], message_id: str | None, body: str | None
    ) -> None:
        """Learn from a message that has passed to the client as a whole."""
        source = self._source(name, data)
        if name == "basic.get-ok" and self._got:
            self._got.popleft()
        if not source.no_ack:
            self.deliveries[data["delivery_tag"]] = Message(source.queue, message_id, body)

    def _source(self, name: str, data: Mapping[str, Any]) -> Source:
        if name == "basic.get-ok":
            return self._got[0] if self._got else NO_SOURCE
        return self._consumers.get(data["consumer_tag"], NO_SOURCE)

    def _settle(self, tag: int, multiple: bool) -> None:
        if not multiple:
            self.deliveries.pop(tag, None)
            return
        for other in [known for known in self.deliveries if known <= tag or not tag]:
            del self.deliveries[other]
