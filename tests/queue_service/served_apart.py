"""The real server in a process that is quick to begin, for tests that kill it again and again.

It is forked from one that has imported everything; what runs in it is what
`labs queue-service serve` runs, on the same port each time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from labs.broker.ports import free_port
from labs.queue_service.api import create_app
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService
from labs.stopping import Stop, signals_stop
from labs.waiting import wait_until

ROOT = Path(__file__).parents[2]


class ServedApart:
    """A server on a store; `crash` and `start` keep its address."""

    def __init__(self, store_url: str) -> None:
        self._store_url, self._port = store_url, free_port()
        self._server: ForkServerProcess | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The server's."""
        assert self._server is not None
        assert self._server.pid
        return self._server.pid

    def start(self) -> Self:
        """Start it, and return when it answers."""
        context = multiprocessing.get_context("forkserver")
        os.environ["PYTHONPATH"] = str(ROOT)  # for the process that forks, which has no sys.path
        context.set_forkserver_preload([__name__, "sqlalchemy.dialects.sqlite"])
        self._server = context.Process(target=serve, args=(self._store_url, self._port))
        self._server.start()
        wait_until(lambda: is_alive(self.url), 30, what="the server to start", interval_s=0.01)
        return self

    def crash(self) -> None:
        """kill -9."""
        assert self._server is not None
        os.kill(self.pid, signal.SIGKILL)
        self._server.join()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.crash()


def serve(store_url: str, port: int) -> None:
    """Serve until SIGTERM."""
    stop = Stop()
    service = QueueService.at(store_url).start_ticking()
    app = create_app(service, authenticator=None)
    with signals_stop(stop.want), serving(app, "127.0.0.1", port):
        stop.wait()
    service.close()


def is_alive(url: str) -> bool:
    """Whether somebody answers there."""
    try:
        return httpx.get(f"{url}/v1/status", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
