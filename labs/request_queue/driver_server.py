"""Serves the driver's API on a port, in a thread, for as long as a block lasts.

What is being answered when the block ends is answered, within `STOP_WITHIN_S`. Signals stay
with whoever wrote the block: the server sets no handlers.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from labs.errors import BadInput
from labs.waiting import wait_until

START_WITHIN_S = 15.0
STOP_WITHIN_S = 15


@contextmanager
def serving(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve within this block; gives the URL. Port 0: any that is free.

    Raises:
        BadInput: the port can't be had.
    """
    listening = _listening(host, port)
    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", timeout_graceful_shutdown=STOP_WITHIN_S
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, name="driver-http", daemon=True
    )
    thread.start()
    try:
        wait_until(lambda: server.started, START_WITHIN_S, what="the HTTP server to start")
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(STOP_WITHIN_S + 5)
        listening.close()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise BadInput(
            f"The driver can't listen on {host}:{port}: {why}.",
            remedy="Is another one running there? Take another --port, or 0 for any.",
        ) from error
    # asyncio sends at once (TCP_NODELAY) only on sockets that say that they are TCP's; on others
    # the second half of each answer waits 40 ms for the first to be acknowledged.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())
