"""A conversation as lines that a person can follow while it goes on.

Events go in one by one; out come lines: one for each connection that comes and goes,
one for each method, with its message where it carries one. Heartbeats are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labs.journal import Event

LONGEST = 60
"""A value is shown up to this many characters."""
ARROWS = {"client": "→", "broker": "←"}
CARRYING = {"basic.publish", "basic.deliver", "basic.get-ok", "basic.return"}
TEDIOUS = {"client_properties", "server_properties", "mechanisms", "locales", "locale"}
"""Arguments that are the same each time and long."""


class Words:
    """Puts events into words; a message is told once it is whole."""

    def __init__(self) -> None:
        self._messages: dict[tuple[int | None, int | None, str | None], _Message] = {}

    def of(self, event: Event) -> str | None:
        """The line that this event makes; None: none, or not yet."""
        if event.kind == "frame":
            said = self._frame(event)
            return said and _line(event, f"{ARROWS[event.side or 'client']} {said}")
        if event.kind == "connected":
            return _line(event, f"connects from port {event.data['client_port']}")
        if event.kind == "disconnected":
            return _line(event, _goodbye(event.data))
        return None

    def _frame(self, event: Event) -> str | None:
        name, data = event.name, event.data
        key = (event.connection, event.channel, event.side)
        if name in CARRYING:
            self._messages[key] = _Message(f"{name}{_arguments(data)}")
            return None
        if name in ("header", "body") and key in self._messages:
            message = self._messages[key]
            message.hear(event)
            return str(self._messages.pop(key)) if message.is_whole else None
        if name == "heartbeat":
            return None
        return f"{name}{_arguments(data)}"


class _Message:
    """A message of which the parts come one by one."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._size_b = self._left_b = 0
        self._properties = ""
        self._text: str | None = None

    def hear(self, event: Event) -> None:
        """A part of it came."""
        if event.name == "header":
            self._size_b = self._left_b = event.data.get("body_size", 0)
            self._properties = _arguments(event.data.get("properties", {}))
            return
        self._left_b -= event.data["size"]
        if event.data["size"] == self._size_b:
            self._text = event.data.get("text")

    @property
    def is_whole(self) -> bool:
        return self._left_b <= 0

    def __str__(self) -> str:
        body = f"{self._size_b} bytes" if self._text is None else _short(repr(self._text))
        return f"{self._method}: {body}{self._properties}"


def _line(event: Event, said: str) -> str:
    channel = f".{event.channel}" if event.channel else ""
    return f"{event.at_s:9.3f} s  {f'{event.connection}{channel}':<6} {said}"


def _arguments(data: Mapping[str, Any]) -> str:
    """Those that say something, such as ` delivery_tag=1 routing_key=hello`."""
    told = (
        f" {name}={_short(str(value))}"
        for name, value in data.items()
        if value not in ("", None, False, 0) and value != {} and name not in TEDIOUS
    )
    return "".join(told)


def _short(text: str) -> str:
    shown = "".join(c if c.isprintable() else "·" for c in text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _goodbye(data: Mapping[str, Any]) -> str:
    by, how = data["by"], data["how"]
    if how == "unreachable":
        return f"could not be taken on: the broker cannot be reached ({data['why']})"
    if by == "proxy":
        return "is ended, with the proxy"
    return f"is {'closed' if how == 'closed' else 'broken off'} by the {by}"
