"""What goes over the wire between a notebook's programs and the broker, on record.

A `Wire` is a proxy (`labs.proxy`, the judge's own) until its `with` block ends: who connects
to `wire.url` talks to the broker as ever, and every frame is written into `wire.journal`.
Each name has a door of its own (`url_of`), so that a picture can tell who was who. What
befalls a worker's process (a kill, a freeze) is put on record too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from labs.broker.address import Address
from labs.errors import BadInput
from labs.journal import Event, Journal
from labs.proxy.server import Proxy, Upstream

NOTEBOOK = "notebook"
"""The door of `wire.url`: what the notebook's own cells are called in a picture."""


class Wire:
    """A recording of a conversation: `url`, `url_of("alice")`, and afterwards `journal`."""

    def __init__(self, address: Address) -> None:
        self.journal = Journal()
        self.journal.append("run", data={"broker": address.shown})
        self._address = address
        upstream = Upstream(address.host, address.port, address.tls)
        self._proxy = Proxy(upstream, self.journal)
        self._proxy.__enter__()
        self._is_open = True

    @property
    def url(self) -> str:
        """The way to the broker for a cell's own connections, with the password."""
        return self.url_of(NOTEBOOK)

    def url_of(self, name: str) -> str:
        """The way to the broker for who is to be called `name` in the picture.

        Raises:
            BadInput: the recording is over.
        """
        if not self._is_open:
            raise BadInput(
                "This wire is closed: it leads to the broker until the end of its `with` block.",
                remedy="Connect inside the block, or take a new one: with lab.wire() as wire: …",
            )
        port = self._proxy.open(name)
        return replace(self._address, host="127.0.0.1", port=port, tls=False).url

    @property
    def events(self) -> Sequence[Event]:
        """What is on record up to now."""
        return self.journal.events

    def befalls(self, name: str, signal: str) -> None:
        """Put on record that a worker's process is killed, frozen or thawed."""
        self.journal.append("signal", signal, copy=name)

    def stop(self) -> None:
        """End the recording, and with it what is still connected. The journal stays."""
        if self._is_open:
            self._is_open = False
            self._proxy.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<wire to {self._address.shown}: {len(self.journal)} events>"
