"""Serves the queue service's API on a port, in a thread, for as long as a block lasts.

When the block ends, nothing that was begun is cut: `/v1/ready` says 503, claims that wait are
answered, each answer is the last of its connection and says so, and the port is closed without
losing whoever stands at the door. That takes as long as what is under way, `STOP_WITHIN_S` at
most. Signals stay with whoever wrote the block. A `door` that several processes share is opened by
`opened`, and closed to all of them by `deafen`, before they stop.
"""

from __future__ import annotations

import asyncio
import ctypes
import select
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import uvicorn
from starlette.types import Receive, Scope, Send

from labs.queue_service.server_connections import Connection
from labs.task_queue import api_server
from labs.task_queue.api_server import KEEP_ALIVE_S, SILENT_S, STOP_WITHIN_S, loaded, running

HANDSHAKE_S = 0.1
"""Whoever has knocked before the door closed is in by then."""
LOOK_EVERY_S = 0.01
LET_IN_WITHIN_S = 3.0
"""At a door that others keep open there may always be somebody."""
NAME = "queue service"


class App(Protocol):
    """What is served: an ASGI application that can be told to stop."""

    def stop(self) -> None:
        """Let nobody wait any more."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        ...


@contextmanager
def serving(
    app: App,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    silent_s: float = SILENT_S,
    door: socket.socket | None = None,
) -> Iterator[str]:
    """Serve within this block; gives the URL. Port 0: any that is free.

    Args:
        certificate: a PEM file; with it, and its key, HTTPS is spoken.
        silent_s: so long a connection may take to send a request's header.
        door: an open one that others let people in at too; it is theirs to close it to all.

    Raises:
        BadInput: the port can't be had, or the certificate not be used.
    """
    config = uvicorn.Config(
        app,
        interface="asgi3",
        http=Connection.made_for(silent_s),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_WITHIN_S,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    server = _Server(loaded(config), app, is_shared=door is not None)
    with running(server, host, port, name=NAME, door=door) as url:
        yield url


def opened(host: str, port: int) -> socket.socket:
    """A port, for several processes.

    Raises:
        BadInput: it can't be had.
    """
    return api_server.opened(host, port, NAME)


class _Server(uvicorn.Server):
    """uvicorn's server, which resets those who have knocked and were not let in yet."""

    def __init__(self, config: uvicorn.Config, app: App, *, is_shared: bool) -> None:
        super().__init__(config)
        self._app, self._is_shared = app, is_shared

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in good order."""
        self._app.stop()
        protocol = self.config.http_protocol_class
        assert isinstance(protocol, type)
        assert issubclass(protocol, Connection)
        protocol.stopping = True
        for listening in sockets or []:
            if not self._is_shared:
                deafen(listening)
            await _let_in_the_last(listening)
        await super().shutdown(sockets)


async def _let_in_the_last(listening: socket.socket) -> None:
    """Return when all who have knocked are in."""
    await asyncio.sleep(HANDSHAKE_S)
    with suppress(TimeoutError):
        async with asyncio.timeout(LET_IN_WITHIN_S):
            while select.select([listening], [], [], 0)[0]:
                await asyncio.sleep(LOOK_EVERY_S)


SO_ATTACH_FILTER = 26
TCP_FLAGS, SYN = 13, 0x02
"""Where a TCP header has its flags, and the one that a knock has."""
LOAD_BYTE, JUMP_IF_SET, RETURN = 0x30, 0x45, 0x06
"""Instructions of the kernel's packet filters: each (code, skip if true, if false, value)."""


def deafen(listening: socket.socket) -> bool:
    """Pass over whoever knocks from now on, in all processes; whether the kernel does so for us.

    Linux does, though some keep it for root: without it one in a great many is reset. For to close
    a port resets the connections that are made and not accepted yet, and whoever comes between the
    last `accept` and the `close` is one of them. So the kernel is told to pass over knocks (SYN)
    first; a client tries again a second later, and is refused in good order.
    """
    if sys.platform != "linux":
        return False
    program = (
        (LOAD_BYTE, 0, 0, TCP_FLAGS),
        (JUMP_IF_SET, 0, 1, SYN),
        (RETURN, 0, 0, 0),
        (RETURN, 0, 0, 0xFFFF),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    given = struct.pack("HP", len(program), ctypes.addressof(code))
    try:
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, given)
    except OSError:
        return False
    return True
