"""A client's connection to the queue service, closed so that nothing is lost on the way.

TCP cuts a connection (a reset) when it is closed with something unread, and then even an answer
that is under way may not arrive. So whoever closes here says first that nothing more will come,
and reads on until the other side has closed too, or does nothing for `LINGER_S`. A server that
stops lets each connection have one answer more, which says that it is the last; one that asks
nothing for `QUIET_S` is closed.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

LINGER_S = 2.0
QUIET_S = 1.0
"""When the server stops: longer than any client that is at work takes to its next request."""


class Connection(HttpToolsProtocol):
    """uvicorn's, which closes at once, and waits for ever for the rest of a header."""

    silent_s: ClassVar[float]
    """So long it may take to send a request's header."""
    stopping: ClassVar[bool] = False
    """The server is about to stop: each answer is the last."""

    @classmethod
    def made_for(cls, silent_s: float) -> type[Connection]:
        """A class of one server's own."""
        return type("ServersConnection", (cls,), {"silent_s": silent_s})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(cast(asyncio.Transport, Lingering(transport, self.loop)))
        self.loop.call_later(self.silent_s, self._close_if_no_header_since, None)

    def data_received(self, data: bytes) -> None:
        """Read on; what comes after the last answer counts for nothing."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.cycle is not None and self.cycle.response_complete:  # half of the next header
            self.loop.call_later(self.silent_s, self._close_if_no_header_since, self.cycle)

    def on_headers_complete(self) -> None:
        """Answer a request."""
        super().on_headers_complete()
        if self.stopping:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The server is about to stop: answer once more, or close after a while."""
        if self._is_idle():
            self.loop.call_later(QUIET_S, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _close_if_no_header_since(self, last: RequestResponseCycle | None) -> None:
        if self.cycle is last:
            self.transport.close()


class Lingering:
    """A transport whose `close` says so to the other side first, and reads on for a while."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._closing = False
        self.write = transport.write  # found at once: it is what is asked for most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing more will be written."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close in good order. Twice is no error."""
        if self.is_closing():
            return
        self._closing = True
        if not self._transport.can_write_eof():  # TLS has a farewell of its own
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._linger(self._transport.get_write_buffer_size())

    def _linger(self, unsent: int) -> None:
        self._loop.call_later(LINGER_S, self._give_up, unsent)

    def _give_up(self, unsent_before: int) -> None:
        """Unless the other side has gone on reading meanwhile."""
        unsent = self._transport.get_write_buffer_size()
        if 0 < unsent < unsent_before:
            self._linger(unsent)
        else:
            self._transport.abort()
