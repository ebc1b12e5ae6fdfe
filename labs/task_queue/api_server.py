"""Serves the task queue's API on a port, in a thread, for as long as a block lasts.

When the block ends, the port is closed, claims that wait are answered with what there is, and
whatever else is being answered is answered, within `STOP_WITHIN_S`. Signals stay with whoever
wrote the block. A connection on which nobody speaks is closed: it shall not be kept for ever.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from labs.errors import BadInput
from labs.task_queue.api_guard import LOCAL_HOSTS
from labs.waiting import wait_until

if TYPE_CHECKING:  # the queue service is served without it
    from fastapi import FastAPI

START_WITHIN_S = 15.0
STOP_WITHIN_S = 15
SILENT_S = 30.0
"""So long a connection may be open before it has sent a request's header."""
KEEP_ALIVE_S = 60
"""Longer than clients keep a connection that they don't use: they close it, not we."""


@contextmanager
def serving(
    app: FastAPI,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    silent_s: float = SILENT_S,
) -> Iterator[str]:
    """Serve within this block; gives the URL. Port 0: any that is free.

    Args:
        certificate: a PEM file; with it, and its key, HTTPS is spoken.

    Raises:
        BadInput: the port can't be had, or the certificate not be used.
    """
    config = uvicorn.Config(
        app,
        http=_patient(silent_s),
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
    with running(uvicorn.Server(loaded(config)), host, port, stopping=app.state.bell.close) as url:
        yield url


def loaded(config: uvicorn.Config) -> uvicorn.Config:
    """The same, its certificate read.

    Raises:
        BadInput: it can't be used.
    """
    try:
        config.load()
    except OSError as error:  # ssl.SSLError too
        raise BadInput(
            f"The certificate {config.ssl_certfile} can't be used: {error.strerror or error}.",
            remedy="Give a certificate and its key, PEM files that belong to each other.",
        ) from error
    return config


@contextmanager
def running(
    server: uvicorn.Server,
    host: str,
    port: int,
    *,
    name: str = "task queue",
    door: socket.socket | None = None,
    stopping: Callable[[], None] = lambda: None,
    within_s: float = STOP_WITHIN_S + 5,
) -> Iterator[str]:
    """Run a server in a thread within this block; gives the URL.

    Args:
        name: of what is served, for an error.
        door: at which it listens, as `opened` gives it; None: it opens one.
        stopping: called when the server has been asked to stop.
        within_s: that takes so long, at the most.

    Raises:
        BadInput: the port can't be had.
    """
    listening = door or opened(host, port, name)
    thread = threading.Thread(
        target=server.run,
        kwargs={"sockets": [listening]},
        name=f"{name.replace(' ', '-')}-http",
        daemon=True,
    )
    thread.start()
    try:
        wait_until(lambda: server.started, START_WITHIN_S, what="the HTTP server to start")
        yield url_of(listening, host, https=server.config.is_ssl)
    finally:
        server.should_exit = True
        stopping()
        thread.join(within_s)
        listening.close()


def local_hosts(host: str) -> frozenset[bytes] | None:
    """The names of a server that listens there, if it is for this machine alone; else None."""
    return LOCAL_HOSTS | {host.lower().encode()} if is_loopback(host) else None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(listening: socket.socket, host: str, *, https: bool) -> str:
    """The URL of a server that listens there, by the name that was given to it."""
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if https else 'http'}://{shown}:{listening.getsockname()[1]}"


def opened(host: str, port: int, name: str) -> socket.socket:
    """A port, at which one can knock.

    Raises:
        BadInput: it can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise BadInput(
            f"The {name}'s server can't listen on {host}:{port}: {why}.",
            remedy="Is another one running there? Take another --port, or 0 for any.",
        ) from error
    # asyncio sends at once (TCP_NODELAY) only on sockets that say that they are TCP's; on others
    # the second half of each answer waits 40 ms for the first to be acknowledged.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())


def _patient(silent_s: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, which waits for ever for a first request, with an end to that."""

    class Patient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.loop.call_later(silent_s, self._close_if_silent)

        def _close_if_silent(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

    return cast(type[asyncio.Protocol], Patient)
